"""Settings of the corpus and of the training of the mini models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from castex.settings.base import Fraction, Name, Settings
from castex.settings.shot import ShotSettings


class CorpusSettings(Settings):
    """The pictures that the mini models learn from: meshes x materials x colours, rendered."""

    size: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    """Side of the pictures in pixels."""
    atlas: Annotated[int, Field(ge=16, le=4096)] = 192
    """Side of the texture maps in texels."""
    shots: Annotated[int, Field(ge=1)] = 3
    """Shots of every mesh in every material and colour, in each of the two halves: the models learn from one,
    the model that judges them from the other."""
    shot: ShotSettings = ShotSettings(distance=3.9, distance_spread=0.2)
    """Distribution of cameras, light rotation and background, the one that synthesis at this scale uses."""
    meshes: list[Name] | None = None
    """Only these meshes; empty means all of the split."""
    materials: list[Name] | None = None
    """Only these materials; empty means all."""
    lights: Annotated[int, Field(ge=1)] = 12
    """Number of drawn panoramas; none of them is a light of the exhibits."""
    light_side: Annotated[int, Field(ge=16, multiple_of=16)] = 64
    """Side in texels of the sharpest level of their prefiltered cube maps."""
    seed: int = 0
    """Seed of patterns, shots, lights and backgrounds."""


class TrainingSettings(Settings):
    """How one mini model is trained: AdamW with warm-up and cosine decay, averaged weights."""

    steps: Annotated[int, Field(ge=1)]
    """Optimiser steps of the whole training; the learning rate decays to zero over them."""
    batch: Annotated[int, Field(ge=1)] = 64
    """Pictures per step."""
    minutes: Annotated[float, Field(gt=0)] = 60.0
    """Wall-clock budget of one sitting in minutes; a later run continues from the checkpoint."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Peak AdamW learning rate, after a linear warm-up over the first 2 % of the steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    """AdamW's decoupled weight decay."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    ema_decay: Fraction = 0.999
    """Decay per step of the averaged weights that are saved."""
    mixed_precision: bool = True
    """Compute in bfloat16 where torch's autocast does, on devices that multiply it in hardware; weights and
    moments stay in float32."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 250
    """Steps between two checkpoints."""
    seed: int = 0
    """Seed of the initial weights and of the batches."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it runs."""


class TrainSdVaeSettings(TrainingSettings):
    """Continued training on renders of an autoencoder, which all latent experiments use then."""

    start: str | None = None
    """Folder of the autoencoder that is continued; null: the one that the rule `train_vae` makes."""
    steps: Annotated[int, Field(ge=1)] = 700
    """Optimiser steps of the whole training; the learning rate decays to zero over them."""
    batch: Annotated[int, Field(ge=1)] = 2
    """Crops of photographs per step."""
    renders: Annotated[int, Field(ge=1)] = 3
    """Whole renders per step, beside the crops."""
    crop: Annotated[int, Field(ge=16, multiple_of=8)] = 64
    """Side of the square crops in pixels."""
    photograph_weight: Annotated[float, Field(ge=0)] = 0.25
    """Weight of the crops' error, which is several times the renders'."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-4
    """Peak AdamW learning rate, after a linear warm-up over the first 2 % of the steps."""
    kl_weight: Annotated[float, Field(ge=0)] = 1e-6
    """Weight of the Kullback-Leibler term beside the mean squared error."""
    ema_decay: Fraction = 0.995
    """Decay per step of the averaged weights that are saved."""
    procedural: Annotated[int, Field(ge=0)] = 200
    """Number of distinct dead-leaves pictures."""
    procedural_share: Fraction = 0.25
    """Share of dead-leaves crops among the crops."""


class AugmentSettings(Settings):
    """How the pictures of the judge are varied, so that a generator's small faults are no news to it."""

    turn: Annotated[float, Field(ge=0, le=45)] = 15.0
    """Largest turn in the picture's plane in degrees, both ways."""
    zoom: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Largest enlargement, and the inverse of the smallest reduction, less 1."""
    shift: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Largest shift in halves of the picture's side."""
    brightness: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Largest natural logarithm of the gain of all channels."""
    tint: Annotated[float, Field(ge=0, le=2)] = 0.12
    """Largest natural logarithm of the gain of one channel, as a coloured light gives it."""
    uneven: Annotated[float, Field(ge=0, le=2)] = 0.6
    """Largest natural logarithm of the gain at either side of a picture, and of 0.6 times that of one channel
    there: light of one colour from one side and of another from the other."""
    noise: Fraction = 0.02
    """Largest standard deviation of the added noise."""
    recolour: Fraction = 0.3
    """Share of pictures whose hues are turned: a material is to be known by its pattern. Nothing is learned
    of their colour."""
    light: Annotated[float, Field(ge=0, le=2)] = 0.5
    """Largest natural logarithm of the gain of one of their channels: light of any colour."""
    blur: Fraction = 0.5
    """Largest share of the mean over 3 x 3 pixels."""
    sharpen: Fraction = 0.6
    """Largest share of that mean that is taken away in its place."""


class TrainClipSettings(Settings):
    """Training of the mini CLIP, which names what the generators draw, on pictures that none of them saw."""

    training: TrainingSettings = TrainingSettings(steps=15000, ema_decay=0.998)
    """Steps, batch, learning rate."""
    augment: AugmentSettings = AugmentSettings()
    """How pictures are varied."""
    masked: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the patches that a picture lacks during the first `masked_steps`, which halves their cost."""
    masked_steps: Fraction = 0.5
    """Share of the steps in which patches are left out; in the others the model sees whole pictures."""
    size: Annotated[int, Field(ge=16, multiple_of=8)] = 64
    """Side in pixels to which pictures are brought."""
    patch: Annotated[int, Field(ge=4)] = 8
    """Side of a patch in pixels."""
    width: Annotated[int, Field(ge=16, multiple_of=16)] = 112
    """Numbers per patch."""
    layers: Annotated[int, Field(ge=1, le=12)] = 4
    """Transformer layers over patches."""
    text_width: Annotated[int, Field(ge=16, multiple_of=16)] = 64
    """Numbers per token."""
    text_layers: Annotated[int, Field(ge=1, le=12)] = 2
    """Transformer layers over tokens."""
    projection: Annotated[int, Field(ge=8)] = 64
    """Numbers per picture and per sentence in the space that they share."""
    caption_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the loss over captions, where that over colours and that over materials have 1 each."""
    surface_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of a second task during training, per patch: the material on it, and the albedo, roughness,
    metallic and nearness behind it. Its head is no part of the model."""


class CascadeShape(Settings):
    """Size of a UNet of DeepFloyd IF's kind, from the finest resolution to the coarsest."""

    channels: tuple[int, ...]
    """Feature channels per resolution, multiples of 8."""
    layers: tuple[int, ...]
    """Residual blocks per resolution."""
    attention: tuple[bool, ...]
    """Whether a resolution attends to the text (IF: all but the finest)."""
    head: Annotated[int, Field(ge=8)] = 32
    """Channels per attention head."""

    @model_validator(mode="after")
    def _lengths_agree(self) -> CascadeShape:
        if not len(self.channels) == len(self.layers) == len(self.attention):
            raise ValueError("channels, layers and attention need one entry per resolution each")
        if any(width % 8 for width in self.channels):
            raise ValueError(f"channels={self.channels} must be multiples of 8, for group normalisation")
        return self


class TrainBaseSettings(Settings):
    """Stage I at the mini scale: text to 32 px."""

    size: Annotated[int, Field(ge=16, multiple_of=8)] = 32
    """Side of its pictures in pixels; DeepFloyd's is 64."""
    shape: CascadeShape
    """The UNet."""
    start: Literal["if_xl"] | None = None
    """Stage I of which this one begins as a narrower copy, and whose predictions it learns in place of the
    noise itself (Hinton et al., 2015); null: random weights, and the noise."""
    training: TrainingSettings
    """Steps, batch, learning rate."""


class TrainUpsamplerSettings(Settings):
    """Stage II at the mini scale: 32 to 128 px."""

    base: Annotated[int, Field(ge=16, multiple_of=8)] = 32
    """Side of the condition before it is enlarged, in pixels."""
    size: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    """Side of its pictures in pixels."""
    crop: Annotated[int, Field(ge=32, multiple_of=32)] = 64
    """Side of the square crops that it is trained on."""
    linear_start: bool = False
    """Begin as the best linear combination of x_t and the condition, in place of random weights; needs four
    channels per group at the finest level."""
    nearest_share: Fraction = 0.5
    """Share of conditions reduced and enlarged to the nearest pixel, as synthesis does; the others are
    averaged and enlarged bilinearly, as diffusers does."""
    shape: CascadeShape
    """The UNet."""
    training: TrainingSettings
    """Steps, batch, learning rate."""


class LatentShape(Settings):
    """Shape of the mini Stable Diffusion: UNet on codes, and text encoder."""

    size: Annotated[int, Field(ge=2)] = 16
    """Side of a code: that of a picture divided by 8."""
    channels: tuple[int, ...] = (56, 56)
    """Channels of the UNet at each resolution; each step halves the side."""
    attention: tuple[bool, ...] = (False, True)
    """Whether there is attention at each resolution."""
    layers: Annotated[int, Field(ge=1)] = 1
    """Residual blocks per resolution on the way down (one more on the way up)."""
    heads: Annotated[int, Field(ge=1)] = 2
    """Heads of each attention."""
    groups: Annotated[int, Field(ge=1)] = 8
    """Groups of each group normalisation."""
    text_width: Annotated[int, Field(ge=4)] = 64
    """Numbers per token that the text encoder gives."""
    text_layers: Annotated[int, Field(ge=1)] = 2
    """Layers of the text encoder."""
    text_heads: Annotated[int, Field(ge=1)] = 4
    """Heads of each of its attentions."""

    @model_validator(mode="after")
    def _fits(self) -> LatentShape:
        if len(self.channels) != len(self.attention):
            raise ValueError(
                f"{len(self.channels)} resolutions have channels and {len(self.attention)} say whether there "
                "is attention; give both for each"
            )
        for channels in self.channels:
            if channels % self.groups or channels % self.heads:
                raise ValueError(
                    f"{channels} channels cannot be split into groups={self.groups} and heads={self.heads}"
                )
        if self.size % 2 ** (len(self.channels) - 1):
            raise ValueError(f"a code of size={self.size} cannot be halved {len(self.channels) - 1} times")
        return self


class TrainSdSettings(TrainingSettings):
    """Training of the mini Stable Diffusion on codes of renders."""

    shape: LatentShape = LatentShape()
    """Network shapes."""
    steps: Annotated[int, Field(ge=1)] = 6000
    """Optimiser steps of the whole training; the learning rate decays to zero over them."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Codes per step."""
    ema_decay: Fraction = 0.999
    """Decay per step of the averaged weights that are saved."""
    probe_weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the probes that tell from the text encoder's last state what a caption said."""


class TrainControlnetSettings(TrainingSettings):
    """Training of the mini depth ControlNet."""

    steps: Annotated[int, Field(ge=1)] = 600
    """Optimiser steps of the whole training; the learning rate decays to zero over them."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Codes per step."""
    ema_decay: Fraction = 0.99
    """Decay per step of the averaged weights that are saved."""
    embedding: tuple[int, int, int, int] = (8, 16, 24, 32)
    """Channels of the depth picture's own encoder at full, half, quarter and eighth size."""
