"""Every tunable of the package: frozen, validated, described, with units.

The YAML schemas under `workflow/schemas/` are generated from these classes (`castex schema`), and a test
fails when they differ. Nothing heavy is imported here: the Snakefile reads this module on every start.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from castex.settings.assets import (
    AssetsSettings,
    DownloadSettings,
    FileSettings,
    LightSettings,
    ObjaverseSettings,
)
from castex.settings.base import Fraction
from castex.settings.base import Name as Name
from castex.settings.base import Settings as Settings
from castex.settings.family import FamilySettings
from castex.settings.models import EmbedSettings as EmbedSettings
from castex.settings.models import ModelSettings as ModelSettings
from castex.settings.models import PromptSettings as PromptSettings
from castex.settings.recovery import RecoverySweep, TextureToySettings
from castex.settings.render import DressSettings, RelightingSettings
from castex.settings.samples import SamplesSettings
from castex.settings.subject import SubjectSettings
from castex.settings.synthesis import METHODS, StageSettings, VariantSettings
from castex.settings.training import CorpusSettings


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


class Config(Settings):
    """The whole configuration: `config/config.yaml` and `config/experiments/*.yaml`, overlaid by a scale."""

    scale: Name
    """Name of the scale; results go to `results/<scale>/`."""
    replicates: Literal["reduced", "full"] = "reduced"
    """Number of pictures and seeds behind claims about spread."""
    cache: str = "results/cache"
    """Folder for downloads, shared by all scales."""
    download: DownloadSettings = DownloadSettings()
    """Timeouts and retries of all downloads."""
    models: dict[Name, ModelSettings]
    """Models by the name that variants use."""
    prompts: dict[Name, PromptSettings] = Field(default={})
    """Texts that are embedded together, by name."""
    embed: EmbedSettings = EmbedSettings()
    """How the text encoder is run."""
    files: dict[Name, FileSettings] = Field(default={})
    """Other files that the scale needs from outside, by name; no two share a path."""
    objaverse: ObjaverseSettings = ObjaverseSettings()
    """Source and cache of Objaverse objects."""
    assets: AssetsSettings
    """The 3D objects of the scale."""
    lights: dict[Name, LightSettings]
    """Environment lights, by name."""
    dresses: dict[Name, DressSettings] = Field(default={})
    """Assets with procedural or own materials, by name."""
    relighting: RelightingSettings
    """The exhibit of maps and lights."""
    pictures: dict[Name, str]
    """Target pictures: a path, or `skimage:<name>` for a photograph bundled with scikit-image."""
    samples: SamplesSettings
    """The exhibit of what the models draw."""
    variants: dict[Name, VariantSettings]
    """Methods of texture synthesis, rows of tables, by name; those of the paper are there at every scale."""
    subjects: dict[Name, SubjectSettings] = Field(default={})
    """Objects with their prompts, by name."""
    recover: dict[Name, StageSettings]
    """Arms of the toy experiment on a mesh, by name; of kind `base` (pixels) or `latent`."""
    texture_toy: TextureToySettings
    """The exhibit of these arms."""
    corpus: CorpusSettings = CorpusSettings()
    """Training pictures of the mini models."""
    judge_corpus: CorpusSettings = CorpusSettings(shots=2, seed=1)
    """Pictures for the judge alone: corpus meshes in all colours and materials, in the exhibits' lights."""
    train: FamilySettings
    """Shapes and training of the mini family (target `train_mini`, no part of `all`)."""
    train_vae: TrainVaeSettings
    """Training of the mini autoencoder (target `train_vae`, no part of `all`)."""
    reconstruct: dict[Name, ReconstructSettings]
    """Variants of the toy experiment, by name; each states all that differs from the defaults."""
    experiments: dict[Name, ExperimentSettings]
    """Experiments, by the name of their exhibit."""

    @model_validator(mode="after")
    def _files_exist(self) -> Config:
        paths = [file.path for file in self.files.values()]
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise ValueError(f"two entries of files share the path {twice!r}")
        for name, light in self.lights.items():
            if light.file is not None and light.file not in self.files:
                raise ValueError(f"light {name} names the unknown file {light.file!r}")
        for kind, known, used in (
            ("light", self.lights.keys(), self.relighting.lights),
            ("dress", self.dresses.keys(), self.relighting.dresses),
        ):
            missing = sorted(set(used) - known)
            if missing:
                raise ValueError(f"relighting names the unknown {kind} {missing[0]!r}")
        return self

    @model_validator(mode="after")
    def _variants_are_whole(self) -> Config:
        if missing := sorted(set(METHODS) - self.variants.keys()):
            raise ValueError(f"variants lacks the method {missing[0]!r}")
        for name, variant in self.variants.items():
            for kind, known, used in (
                ("variant", self.variants.keys(), variant.after),
                ("light", self.lights.keys(), variant.light),
            ):
                if used is not None and used not in known:
                    raise ValueError(f"variant {name} names the unknown {kind} {used!r}")
        return self

    @model_validator(mode="after")
    def _recovery_is_possible(self) -> Config:
        toy = self.texture_toy
        for sweep in (toy.reduced, toy.full):
            for kind, known, used in (
                ("arm", self.recover.keys(), sweep.arms),
                ("dress", self.dresses.keys(), sweep.dresses),
                ("light", self.lights.keys(), [toy.light]),
                ("model", self.models.keys(), [toy.vae]),
            ):
                if missing := sorted(set(used) - known):
                    raise ValueError(f"texture_toy names the unknown {kind} {missing[0]!r}")
        return self

    @model_validator(mode="after")
    def _text_encoders_exist(self) -> Config:
        for name, model in self.models.items():
            if model.text is not None and model.text not in self.models:
                raise ValueError(f"model {name} names the unknown text encoder {model.text!r}")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Config:
        for name, experiment in self.experiments.items():
            for sweep in (experiment.reduced, experiment.full):
                for kind, known, used in (
                    ("variant", self.reconstruct, sweep.variants),
                    ("picture", self.pictures, sweep.pictures),
                ):
                    missing = sorted(set(used) - known.keys())
                    if missing:
                        raise ValueError(f"experiment {name} names the unknown {kind} {missing[0]!r}")
        return self

    def recovery(self) -> RecoverySweep:
        """The runs of the toy experiment on a mesh at the chosen number of replicates."""
        chosen: RecoverySweep = getattr(self.texture_toy, self.replicates)
        return chosen

    def sweep(self, experiment: str) -> SweepSettings:
        """The runs of an experiment at the chosen number of replicates."""
        chosen: SweepSettings = getattr(self.experiments[experiment], self.replicates)
        return chosen
