"""Networks of the diffusers library behind the package's contracts. The only loader of diffusers models.

Importing this costs nothing: the library itself, four seconds, is imported when a model is loaded.
"""

from castex.diffusion.codec import WEIGHTS_FILE, LatentCodec, load_codec
from castex.diffusion.deepfloyd import DeepFloydBase, DeepFloydUpsampler, load_base, load_upsampler
from castex.diffusion.network import Network, resolved_precision
from castex.diffusion.stable import (
    DepthControlNetScore,
    StableDiffusionScore,
    load_depth_controlnet,
    load_stable_diffusion,
)

__all__ = [
    "WEIGHTS_FILE",
    "DeepFloydBase",
    "DeepFloydUpsampler",
    "DepthControlNetScore",
    "LatentCodec",
    "Network",
    "StableDiffusionScore",
    "load_base",
    "load_codec",
    "load_depth_controlnet",
    "load_stable_diffusion",
    "load_upsampler",
    "resolved_precision",
]
