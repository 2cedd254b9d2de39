"""Settings of the toy experiment on a mesh: which arms recover which known textures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from castex.settings.base import Name, Settings


class RecoverySweep(Settings):
    """Every arm on every dressed mesh with every seed."""

    arms: list[Name]
    """Names of entries of `recover`."""
    dresses: list[Name]
    """Entries of `dresses` whose maps are to be recovered; they need the size of the arms' textures."""
    seeds: list[Annotated[int, Field(ge=0)]]
    """Seeds of shots, noise and initial values."""


class TextureToySettings(Settings):
    """The exhibit `texture_toy`: Figure 2 on a mesh."""

    light: Name
    """Light of the renders."""
    vae: Name
    """Entry of `models` whose autoencoder latent arms use."""
    reduced: RecoverySweep
    """What `all` runs."""
    full: RecoverySweep
    """What `--config replicates=full` runs."""
