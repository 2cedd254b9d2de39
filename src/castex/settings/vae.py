"""Settings of the mini autoencoder: its shape and its training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from castex.settings.base import Fraction, Settings


class AutoencoderSettings(Settings):
    """Shape of the mini autoencoder: a diffusers `AutoencoderKL` that reduces each side by 8."""

    block_out_channels: tuple[int, int, int, int] = (16, 32, 80, 96)
    """Feature channels at full, half, quarter and eighth resolution."""
    layers_per_block: Annotated[int, Field(ge=1, le=4)] = 1
    """Residual blocks per resolution in the encoder (the decoder has one more)."""
    latent_channels: Annotated[int, Field(ge=4, le=64)] = 4
    """Numbers per 8 x 8 pixel block; Stable Diffusion has 4."""
    norm_num_groups: Annotated[int, Field(ge=1)] = 4
    """Groups of each group normalisation; each needs at least three channels at every resolution."""

    @model_validator(mode="after")
    def _groups_fit(self) -> AutoencoderSettings:
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups or channels < 3 * self.norm_num_groups:
                raise ValueError(
                    f"{channels} channels cannot be split into norm_num_groups={self.norm_num_groups} groups "
                    "of at least three"
                )
        return self


class TrainVaeSettings(Settings):
    """Training of the mini autoencoder on bundled photographs and procedural pictures."""

    autoencoder: AutoencoderSettings = AutoencoderSettings()
    """Network shape."""
    crop: Annotated[int, Field(ge=16, multiple_of=8)] = 64
    """Side of the square training crops in pixels."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Crops per step."""
    steps: Annotated[int, Field(ge=1)] = 8000
    """Optimiser steps of the whole training; the learning rate decays to zero over them."""
    minutes: Annotated[float, Field(gt=0)] = 75.0
    """Wall-clock budget of one sitting in minutes; a later run continues from the checkpoint."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    """Peak AdamW learning rate, after a linear warm-up over the first 2 % of the steps."""
    kl_weight: Annotated[float, Field(ge=0)] = 1e-6
    """Weight of the Kullback-Leibler term beside the mean squared error."""
    ema_decay: Fraction = 0.998
    """Decay per step of the averaged weights that are saved."""
    procedural: Annotated[int, Field(ge=0)] = 400
    """Number of distinct dead-leaves pictures."""
    procedural_share: Fraction = 0.25
    """Share of dead-leaves crops among the training crops."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    """Steps between two checkpoints."""
    evaluation_size: Annotated[int, Field(ge=16, multiple_of=8)] = 128
    """Side in pixels of the pictures on which the yardstick compares the autoencoder with a block code."""
    seed: int = 0
    """Seed of the initial weights, the dead leaves and the batches."""
