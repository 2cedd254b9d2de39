"""Settings of the toy experiment of Figure 2: its optimiser, its arms, and which of them an exhibit runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from castex.settings.base import Name, Settings


class OptimiseSettings(Settings):
    """One run of the optimiser loop (Adam with default betas)."""

    steps: Annotated[int, Field(ge=1)]
    """Optimiser steps."""
    learning_rate: Annotated[float, Field(ge=0, le=10)]
    """Adam's learning rate during the first half of the steps, in units of the parameters per step."""
    final_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of the last step as a fraction of the first; the second half decays geometrically."""
    observe_every: Annotated[int, Field(ge=1)] = 20
    """Steps between two points of the convergence curve."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 100
    """Steps between two checkpoints."""


class DipSettings(Settings):
    """Shape of the deep image prior: the skip network of Paint-it."""

    width: Annotated[int, Field(ge=1, le=1024)] = 128
    """Channels of every convolution; 128 in Paint-it."""
    scales: Annotated[int, Field(ge=1, le=8)] = 5
    """Number of halvings; 5 in Paint-it. The picture must be at least 2^(scales + 1) pixels wide."""


class ReconstructSettings(Settings):
    """One arm of the toy experiment of Figure 2: recover a picture from the score of a point mass at it."""

    space: Literal["pixel", "latent"]
    """Where the diffusion model lives: `pixel` compares pictures, `latent` compares their codes."""
    parameterisation: Literal["explicit", "dip"]
    """`explicit`: one parameter per pixel. `dip`: the weights of a skip network."""
    optimise: OptimiseSettings
    """Steps and learning rate. The paper gives neither; `config/README.md` says how they were chosen."""
    size: Annotated[int, Field(ge=16, le=4096)]
    """Side of the square picture in pixels, after centre-cropping and resizing."""
    initial: Literal["gaussian", "uniform", "grey"] = "gaussian"
    """Start of an explicit picture: standard normal noise in the model's range [-1, 1], clamped; uniform
    noise in [0, 1]; or 0.5 everywhere. Unknown in the paper, see `config/README.md`."""
    timestep_min: Annotated[int, Field(ge=0, le=999)] = 20
    """Smallest timestep that is drawn, of 1000."""
    timestep_max: Annotated[int, Field(ge=1, le=1000)] = 980
    """Bound above the largest timestep that is drawn, of 1000."""
    dip: DipSettings = DipSettings()
    """Skip network; used by the `dip` parameterisation alone."""
    decoder_pull: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the decoder-based regularisation of theta, which the paper tried without gain; 0 is off."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the loop runs."""

    @model_validator(mode="after")
    def _consistent(self) -> ReconstructSettings:
        if self.timestep_min >= self.timestep_max:
            raise ValueError(
                f"timestep_min={self.timestep_min} must be below timestep_max={self.timestep_max}"
            )
        if self.parameterisation == "dip" and self.size < 2 ** (self.dip.scales + 1):
            raise ValueError(
                f"size={self.size} is too small for {self.dip.scales} scales of the skip network; "
                f"use at least {2 ** (self.dip.scales + 1)} pixels"
            )
        return self


class SweepSettings(Settings):
    """Which runs an experiment consists of: every variant on every picture with every seed."""

    variants: list[Name]
    """Names of entries of `reconstruct`."""
    pictures: list[Name]
    """Names of entries of `pictures`."""
    seeds: list[Annotated[int, Field(ge=0)]]
    """Seeds of the initial values, timesteps and noise."""


class ExperimentSettings(Settings):
    """An experiment at its two sizes; `replicates` at the top level says which one runs."""

    reduced: SweepSettings
    """What `all` runs."""
    full: SweepSettings
    """What `--config replicates=full` runs."""
