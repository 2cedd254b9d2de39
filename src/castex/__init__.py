"""CasTex, reproduced: text-to-texture by score distillation from a pixel-space cascade."""

__version__ = "0.4.0"
