"""Every tunable of the package: frozen, validated, described, with units.

The YAML schemas under `workflow/schemas/` are generated from these classes (`castex schema`), and a test
fails when they differ. Nothing heavy is imported here: the Snakefile reads this module on every start.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from castex.settings.anchoring import AnchoringTheorySettings
from castex.settings.assets import (
    AssetsSettings,
    DownloadSettings,
    FileSettings,
    LightSettings,
    ObjaverseSettings,
)
from castex.settings.base import Name as Name
from castex.settings.base import Settings as Settings
from castex.settings.family import FamilySettings
from castex.settings.models import EmbedSettings as EmbedSettings
from castex.settings.models import ModelSettings as ModelSettings
from castex.settings.models import PromptSettings as PromptSettings
from castex.settings.recovery import RecoverySweep, TextureToySettings
from castex.settings.render import DressSettings, RelightingSettings
from castex.settings.samples import SamplesSettings
from castex.settings.subject import SubjectSettings, TexturesSettings, TexturesSweep
from castex.settings.synthesis import METHODS, StageSettings, VariantSettings
from castex.settings.toy import DipSettings as DipSettings
from castex.settings.toy import ExperimentSettings, SweepSettings
from castex.settings.toy import OptimiseSettings as OptimiseSettings
from castex.settings.toy import ReconstructSettings as ReconstructSettings
from castex.settings.training import CorpusSettings
from castex.settings.vae import AutoencoderSettings as AutoencoderSettings
from castex.settings.vae import TrainVaeSettings as TrainVaeSettings


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
    textures: dict[Name, TexturesSettings] = Field(default={})
    """Exhibits made of textures, by name: which methods on which subjects."""
    anchoring_theory: AnchoringTheorySettings = AnchoringTheorySettings()
    """Figure 3 in closed form."""
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
                ("model", self.models.keys(), variant.model),
            ):
                if used is not None and used not in known:
                    raise ValueError(f"variant {name} names the unknown {kind} {used!r}")
        return self

    @model_validator(mode="after")
    def _textures_are_possible(self) -> Config:
        for name, subject in self.subjects.items():
            if subject.dress is not None and subject.dress not in self.dresses:
                raise ValueError(f"subject {name} names the unknown dress {subject.dress!r}")
            if subject.dress is not None and self.dresses[subject.dress].asset != subject.asset:
                raise ValueError(f"subject {name} and its dress {subject.dress!r} are two objects")
        for name, exhibit in self.textures.items():
            for sweep in (exhibit.reduced, exhibit.full):
                for kind, known, used in (
                    ("method", self.variants.keys(), sweep.methods),
                    ("subject", self.subjects.keys(), sweep.subjects),
                ):
                    if missing := sorted(set(used) - known):
                        raise ValueError(f"textures.{name} names the unknown {kind} {missing[0]!r}")
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
        if missing := sorted(self.samples.models.keys() - self.models.keys()):
            raise ValueError(f"samples names the unknown model {missing[0]!r}")
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

    def textures_of(self, exhibit: str) -> TexturesSweep:
        """The textures of an exhibit at the chosen number of replicates."""
        chosen: TexturesSweep = getattr(self.textures[exhibit], self.replicates)
        return chosen

    def recovery(self) -> RecoverySweep:
        """The runs of the toy experiment on a mesh at the chosen number of replicates."""
        chosen: RecoverySweep = getattr(self.texture_toy, self.replicates)
        return chosen

    def sweep(self, experiment: str) -> SweepSettings:
        """The runs of an experiment at the chosen number of replicates."""
        chosen: SweepSettings = getattr(self.experiments[experiment], self.replicates)
        return chosen
