"""Settings of pictures that the models draw by themselves: how they are sampled, and which are shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from castex.settings.base import Name, Settings
from castex.settings.models import ExecutionSettings, LowResolutionSettings


class SampleSettings(Settings):
    """How pictures are drawn from noise, with DDIM and classifier-free guidance."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 50
    """Steps of one picture."""
    guidance_scale: float = 7.0
    """Scale s in uncond + s (cond - uncond)."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Pictures that are drawn together, if their halves count once."""
    low_resolution: LowResolutionSettings = LowResolutionSettings(form="bilinear", level=250, base_size=32)
    """What an upsampler sees of the base model's picture; the library diffusers has these values, at 64."""
    enlarge_from: Annotated[int, Field(ge=1, le=1000)] | None = None
    """An upsampler starts at about this timestep from its low-resolution picture, noised to it; none: from
    noise alone, as DeepFloyd's. Small models keep the colours of their start; noise alone is grey."""
    seed: int = 0
    """Seed of the noise; every prompt has its own."""
    execution: ExecutionSettings = ExecutionSettings()
    """How the networks are run."""


class DrawnSettings(Settings):
    """One model of the sheet."""

    stage: Literal["base", "upsampler", "latent", "depth"]
    """`base`: text to small pictures. `upsampler`: enlarges those of the model `base`. `latent`: in the codes
    of an autoencoder. `depth`: the same with a depth ControlNet, on the model that its `text` names."""
    base: Name | None = None
    """For an upsampler: the model of the sheet whose pictures it enlarges."""
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Steps of one picture where they are not those of `sample`."""
    unconditional: Annotated[int, Field(ge=0)] = 0
    """Pictures drawn without a prompt: what a judge calls them is the control of its accuracy."""

    @model_validator(mode="after")
    def _upsamplers_have_a_base(self) -> DrawnSettings:
        if (self.stage == "upsampler") != (self.base is not None):
            raise ValueError("`base` is for an upsampler, which needs it")
        return self


class SamplesSettings(Settings):
    """The exhibit `samples`: prompts x models."""

    prompts: Name
    """Entry of `prompts` whose texts are drawn, in rows of `columns`."""
    columns: Annotated[int, Field(ge=1)] = 2
    """Prompts in a row of the sheet."""
    models: dict[Name, DrawnSettings]
    """Models of the sheet, by their name in `models`, in order."""
    depth_of: Name
    """Asset whose depth the ControlNet is shown."""
    sample: SampleSettings = SampleSettings()
    """How pictures are drawn."""

    @model_validator(mode="after")
    def _bases_are_drawn(self) -> SamplesSettings:
        for name, model in self.models.items():
            if model.base is not None and model.base not in self.models:
                raise ValueError(f"the upsampler {name} names {model.base!r}, which is not among the models")
        return self
