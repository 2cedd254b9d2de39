"""Settings of texture synthesis: one stage of the cascade, and the rows of a table made of stages.

The defaults are those of the paper's stage I (paper.md 1.4); config/experiments/castex.yaml has the methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from castex.settings.base import Name, Settings
from castex.settings.models import ExecutionSettings, LowResolutionSettings
from castex.settings.shot import ShotSettings

Quirk = Literal["corrected", "faithful"]
MapName = Literal["albedo", "roughness", "metallic", "normal"]
Timestep = Annotated[int, Field(ge=0, le=1000)]
ALL_MAPS: tuple[MapName, ...] = ("albedo", "roughness", "metallic", "normal")


class WindowSettings(Settings):
    """The range from which the timestep of a step is drawn; it shrinks while a stage runs."""

    highest_first: Timestep = 980
    """Bound above the timesteps at the first step, of 1000."""
    highest_last: Timestep = 500
    """The same towards the last step."""
    lowest_first: Timestep = 300
    """Smallest timestep at the first step."""
    lowest_last: Timestep = 200
    """The same towards the last step."""
    form: Literal["sqrt", "linear", "constant"] = "sqrt"
    """How a bound moves with the progress p = step / steps: first - (first - last) sqrt(p) as in the paper,
    the same with p itself, or not at all."""

    @model_validator(mode="after")
    def _is_never_empty(self) -> WindowSettings:
        # Both bounds move along the same curve, so the ends decide.
        for low, high in ((self.lowest_first, self.highest_first), (self.lowest_last, self.highest_last)):
            if low >= high:
                raise ValueError(f"the window of timesteps from {low} to {high} is empty")
        return self


class DistilSettings(Settings):
    """How a predicted noise becomes a gradient."""

    window: WindowSettings = WindowSettings()
    """Timesteps; one is drawn per step for all views."""
    guidance_scale: float = 15.0
    """Scale s in uncond + s (cond - uncond); 15 in stage I and 10 in stage II of the benchmark."""
    form: Literal["x0-clamped", "x0", "eps"] = "x0-clamped"
    """What the gradient is made of: x - x0_hat with x0_hat clamped to [-1, 1], as in the paper; the same
    without the clamp; or eps_hat - eps, as in DreamFusion. Latent codes know no clamp."""
    weight: Literal["released", "dreamfusion", "constant"] = "released"
    """Factor w(t) on it: sqrt(alpha_bar (1 - alpha_bar)); 1 - alpha_bar; or 1. `x0` with `released` is the
    same gradient as `eps` with `dreamfusion`."""
    noise: Literal["fresh", "fixed", "cached"] = "fresh"
    """Where the noise of a step comes from: drawn; drawn once and kept; or the noise that was predicted in
    the step before. The noise on an upsampler's condition is always drawn."""


class UpsamplingSettings(Settings):
    """What the upsampler is shown beside the noisy picture."""

    source: Literal["anchored", "current", "downsampled-current"] = "anchored"
    """`anchored`: the frozen maps with which the stage began, rendered from the same shot, as in the paper.
    `current`: the current render in its place, reduced in the same way. `downsampled-current`: the current
    render, reduced to the base model's size with antialiasing."""
    low_resolution: LowResolutionSettings = LowResolutionSettings()
    """How that picture is reduced, enlarged and noised."""
    background: Quirk = "corrected"
    """`corrected`: picture and condition share the shot's background. `faithful`: the condition gets a random
    colour of its own, as in the released code."""


class DipShape(Settings):
    """Shape of a deep image prior: the skip network of Paint-it."""

    width: Annotated[int, Field(ge=1, le=1024)] = 128
    """Channels of every convolution; 128 in Paint-it."""
    scales: Annotated[int, Field(ge=1, le=8)] = 5
    """Number of halvings; 5 in Paint-it. The maps must be at least 2^(scales + 1) texels wide."""


class HashGridShape(Settings):
    """Shape of a hash grid with a small network (Mueller et al. 2022), asked at the surface points."""

    levels: Annotated[int, Field(ge=1, le=32)] = 16
    """Grids, from coarse to fine."""
    features: Annotated[int, Field(ge=1, le=8)] = 2
    """Numbers per grid point."""
    table: Annotated[int, Field(ge=4, le=24)] = 19
    """Binary logarithm of the entries per grid; finer grids than that share entries by a hash."""
    coarsest: Annotated[int, Field(ge=2)] = 16
    """Cells along a side of the coarsest grid; the object's longest side is one grid."""
    finest: Annotated[int, Field(ge=2)] = 1024
    """Cells along a side of the finest grid."""
    width: Annotated[int, Field(ge=1)] = 64
    """Neurons of the hidden layer."""


class ParameterSettings(Settings):
    """What the optimiser owns."""

    kind: Literal["explicit", "dip", "hash-grid"] = "explicit"
    """`explicit`: every texel is a parameter. `dip`: the weights of a convolutional network. `hash-grid`: a
    field over the surface."""
    size: Annotated[int, Field(ge=16, le=4096)] = 1024
    """Side of the maps in texels; given maps keep their own."""
    initial: Literal["grey", "random", "given"] = "grey"
    """Start of explicit maps: 0.5 with flat normals, as in the paper; uniform noise; or the given maps."""
    learned: Annotated[tuple[MapName, ...], Field(min_length=1)] = ALL_MAPS
    """Maps that are learned; the others stay what they are at the start. `[albedo]` is albedo only."""
    smoothness: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the mean absolute difference of neighbouring texels, a regulariser; the paper has none."""
    dip: DipShape = DipShape()
    """Shape of the `dip` network."""
    hash_grid: HashGridShape = HashGridShape()
    """Shape of the `hash-grid`."""

    @model_validator(mode="after")
    def _fits(self) -> ParameterSettings:
        if self.kind != "explicit" and self.initial != "grey":
            raise ValueError(f"initial={self.initial!r} is for explicit maps; a {self.kind} begins by itself")
        if self.kind == "dip" and self.size < 2 ** (self.dip.scales + 1):
            raise ValueError(
                f"size={self.size} is too small for {self.dip.scales} scales of the skip network; "
                f"use at least {2 ** (self.dip.scales + 1)} texels"
            )
        if self.hash_grid.finest < self.hash_grid.coarsest:
            raise ValueError("the finest grid is coarser than the coarsest")
        return self


class AdamSettings(Settings):
    """Adam with default betas, fresh per stage, and what is written on the way."""

    steps: Annotated[int, Field(ge=1)] = 500
    """Optimiser steps; 500 in stage I, 1000 in stage II."""
    learning_rate: Annotated[float, Field(ge=0, le=10)] = 0.01
    """Learning rate of the first step, in units of the parameters."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Factor on it after every `decay_every` steps."""
    decay_every: Annotated[int, Field(ge=1)] = 100
    """Steps between two decays."""
    observe_every: Annotated[int, Field(ge=1)] = 10
    """Steps between two rows of trace.csv."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 50
    """Steps between two checkpoints."""
    preview_every: Annotated[int, Field(ge=1)] = 100
    """Steps between two preview pictures."""
    snapshots: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Numbers of finished steps after which the maps are kept beside the result."""

    @model_validator(mode="after")
    def _snapshots_are_reached(self) -> AdamSettings:
        if self.snapshots and max(self.snapshots) > self.steps:
            raise ValueError(f"a snapshot after step {max(self.snapshots)} of {self.steps}")
        return self


class StageSettings(Settings):
    """One stage: a model of one kind pulls the maps of one mesh towards a prompt."""

    kind: Literal["base", "upsampler", "latent"] = "base"
    """`base`: a pixel-space model (IF-I). `upsampler`: one that enlarges (IF-II). `latent`: one that sees
    codes of an autoencoder (Stable Diffusion)."""
    adam: AdamSettings = AdamSettings()
    """Optimiser, and how often things are written."""
    shot: ShotSettings = ShotSettings()
    """Cameras, light and background."""
    render_size: Annotated[int, Field(ge=16, le=2048)] = 512
    """Side of the renders in pixels; they are reduced to the model's size, bilinear with antialiasing."""
    distil: DistilSettings = DistilSettings()
    """From predicted noise to gradient."""
    upsampling: UpsamplingSettings = UpsamplingSettings()
    """What the upsampler is conditioned on; for `upsampler` alone."""
    posterior: Literal["mean", "sample"] = "mean"
    """Codes are means of the autoencoder's posterior, or samples of it; for `latent` alone."""
    view_words: Literal["corrected", "faithful", "none"] = "corrected"
    """`corrected`: each view's prompt names the side of the object that it shows. `faithful`: as in the
    released code, which forgets how the object was turned. `none`: the bare prompt."""
    texture: ParameterSettings = ParameterSettings()
    """What is optimised, and where it begins."""
    execution: ExecutionSettings = ExecutionSettings()
    """How the network is run; mesh and maps lie on the same device."""

    @model_validator(mode="after")
    def _is_consistent(self) -> StageSettings:
        if self.kind == "latent" and self.distil.form == "x0-clamped":
            raise ValueError("a latent code cannot be clamped to [-1, 1]; use form: x0 or eps")
        if self.kind == "upsampler" and self.texture.initial != "given":
            raise ValueError("an upsampler refines maps; use initial: given")
        return self


class VariantSettings(Settings):
    """A row of a table: one stage with its model and light, and the variant that it continues."""

    model: Name
    """Entry of `models`."""
    light: Name
    """Entry of `lights`."""
    after: Name | None = None
    """Variant whose maps this one begins with; empty with `initial: given` means the asset's own maps."""
    stage: StageSettings = StageSettings()
    """Everything else."""

    @model_validator(mode="after")
    def _begins_with_what_it_continues(self) -> VariantSettings:
        if self.after is not None and self.stage.texture.initial != "given":
            raise ValueError(f"after={self.after!r} needs texture.initial: given")
        return self


class CascadeSettings(Settings):
    """Both stages of one method, and the mesh and light that they share."""

    base: StageSettings = StageSettings()
    """Stage I."""
    upsampler: StageSettings | None = None
    """Stage II; empty for stage I alone."""
    base_model: str
    """Entry of `models` for stage I."""
    upsampler_model: str = "if_ii"
    """Entry of `models` for stage II."""
    light: str
    """Entry of `lights`."""
    keep_uv: bool = True
    """Keep valid texture coordinates that do not overlap; the published method always makes new ones."""


METHODS = ("castex-m", "castex-m-l", "castex-xl", "castex-xl-l")
"""The methods of the paper's table, `variants` at every scale: M or XL for stage I, L for stage II."""
DEFAULT_METHOD = "castex-xl-l"


def cascade_of(variants: Mapping[str, VariantSettings], method: str, *, keep_uv: bool) -> CascadeSettings:
    """Both stages of a method out of the rows of a table; KeyError for a name that is not there."""
    last = variants[method]
    first = last if last.after is None else variants[last.after]
    return CascadeSettings(
        base=first.stage,
        upsampler=None if last.after is None else last.stage,
        base_model=first.model,
        upsampler_model="if_ii" if last.after is None else last.model,
        light=first.light,
        keep_uv=keep_uv,
    )
