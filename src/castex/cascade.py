"""Guidance of one stage: what the model sees of a render, and what it is told about it.

A stage of the cascade is a `TextGuidance`; the upsampling stage has an `Anchor` too, which renders the frozen
maps of the stage before from the very shot that it is handed. `KnownTexture` needs no network.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from castex.analytic import PointMassPredictor
from castex.diffusion import DeepFloydBase, DeepFloydUpsampler, StableDiffusionScore
from castex.distil import Distillation, carried_back
from castex.errors import InputError
from castex.guidance import ClassifierFree
from castex.maps import TextureMaps
from castex.prompt import Embeddings
from castex.protocols import Codec, Condition, Guidance, Image, Renderer, Sample, Text
from castex.schedule import NoiseSchedule
from castex.settings.models import LowResolutionSettings
from castex.settings.synthesis import DistilSettings, StageSettings, UpsamplingSettings
from castex.shot import Shot, view_words

MeshRender = Renderer[TextureMaps, Shot]
Model = DeepFloydBase | DeepFloydUpsampler | StableDiffusionScore


def resized(image: Image, size: int) -> Tensor:
    """`image` at `size` x `size` pixels: bilinear with antialiasing, as in the paper."""
    if image.shape[2:] == (size, size):
        return image
    return interpolate(image, (size, size), mode="bilinear", align_corners=False, antialias=True)


@dataclass(frozen=True, slots=True)
class PixelSpace:
    """Samples are pictures in [-1, 1] at the model's size; a render brighter than 1 is not clamped."""

    size: int

    def encode(self, image: Image, generator: torch.Generator) -> Sample:
        """Differentiable in `image` (linear, [0, 1+)); nothing is drawn."""
        return 2 * resized(image, self.size) - 1


@dataclass(frozen=True, slots=True)
class LatentSpace:
    """Samples are codes of the picture at the model's size."""

    size: int
    codec: Codec
    posterior: Literal["mean", "sample"] = "mean"

    def encode(self, image: Image, generator: torch.Generator) -> Sample:
        """Differentiable in `image`; a sample of the posterior draws its noise from `generator`."""
        return self.codec.encode(resized(image, self.size), generator if self.posterior == "sample" else None)


Space = PixelSpace | LatentSpace


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with its embeddings, and how the views are named in it."""

    text: str
    embeddings: Embeddings
    words: Literal["corrected", "faithful", "none"] = "corrected"

    def of(self, shot: Shot) -> Text:
        """One row per view, or one for all without view words."""
        if self.words == "none":
            return self.embeddings.of([self.text])
        return self.embeddings.of_views(self.text, view_words(shot, self.words))


@runtime_checkable
class Upsampler(Protocol):
    """The part of `DeepFloydUpsampler` that an anchor needs."""

    def condition(
        self,
        condition: Condition,
        image: Image,
        settings: LowResolutionSettings,
        *,
        generator: torch.Generator,
    ) -> Condition:
        """`condition` with a reduced, enlarged and noised version of `image` beside its text."""
        ...


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the upsampler is shown beside the noisy picture (Figure 3).

    `maps` are frozen; they are rendered from the shot of the step. All arms draw the same numbers, so that
    arms of one seed differ in the picture alone.
    """

    upsampler: Upsampler
    settings: UpsamplingSettings
    render: MeshRender
    maps: TextureMaps

    def condition(
        self, condition: Condition, image: Image, shot: Shot, *, generator: torch.Generator
    ) -> Condition:
        """`condition` with the low-resolution picture for the current render `image` of `shot`."""
        if self.settings.background == "faithful":
            shot = dataclasses.replace(shot, background=torch.rand(3, generator=generator))
        with torch.no_grad():
            picture = self._picture(image, shot)
            return self.upsampler.condition(
                condition, picture, self.settings.low_resolution, generator=generator
            )

    def _picture(self, image: Image, shot: Shot) -> Tensor:
        match self.settings.source:
            case "anchored":
                return self.render(self.maps, shot)
            case "current":
                return image
            case "downsampled-current":
                return resized(image, self.settings.low_resolution.base_size)


@dataclass(frozen=True, slots=True)
class TextGuidance:
    """Guidance by a text-conditional model: a `Guidance` of shots."""

    distillation: Distillation
    space: Space
    prompt: Prompt
    anchor: Anchor | None = None

    def gradient(self, image: Image, shot: Shot, *, progress: float, generator: torch.Generator) -> Image:
        """The gradient with respect to the render, at its own size.

        Draws, in this order: the noise of the condition, that of the posterior, the timestep, its noise.
        """
        condition = Condition(text=self.prompt.of(shot))
        if self.anchor is not None:
            condition = self.anchor.condition(condition, image, shot, generator=generator)
        return carried_back(
            image,
            lambda leaf: self.space.encode(leaf, generator),
            lambda sample: self.distillation.gradient(
                sample, progress=progress, generator=generator, condition=condition
            ),
        )


@dataclass(frozen=True, slots=True)
class KnownTexture:
    """Guidance by the point mass at the renders of known maps: Figure 2 carried to three dimensions."""

    render: MeshRender
    maps: TextureMaps
    space: Space
    schedule: NoiseSchedule
    settings: DistilSettings
    memory: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    def gradient(self, image: Image, shot: Shot, *, progress: float, generator: torch.Generator) -> Image:
        """Towards the render of the known maps from the same shot."""
        with torch.no_grad():
            target = self.space.encode(self.render(self.maps, shot), generator)
        predictor = PointMassPredictor(target, self.schedule)
        distillation = Distillation(predictor, self.schedule, self.settings, self.memory)
        return carried_back(
            image,
            lambda leaf: self.space.encode(leaf, generator),
            lambda sample: distillation.gradient(sample, progress=progress, generator=generator),
        )


def stage_guidance(
    model: Model,
    settings: StageSettings,
    prompt: str,
    embeddings: Embeddings,
    *,
    render: MeshRender,
    start: TextureMaps,
    memory: dict[str, Tensor],
) -> Guidance[Shot]:
    """The guidance of one stage from its loaded model.

    `start` are the maps with which the stage begins, the anchor of an upsampler; `memory` is that of the run.
    InputError for a model of another kind, and for embeddings that another network reads.
    """
    device = str(model.network.device)
    here = embeddings.to(device)
    if here.values.shape[2] != model.network.text_width:
        raise InputError(
            f"the embedded prompts have {here.values.shape[2]} numbers per token and the network reads "
            f"{model.network.text_width}; embed them with this model's text encoder"
        )
    predictor = ClassifierFree(model, settings.distil.guidance_scale, here.negative)
    distillation = Distillation(predictor, model.schedule, settings.distil, memory)
    words = Prompt(prompt, here, settings.view_words)
    match settings.kind, model:
        case "base", DeepFloydBase():
            return TextGuidance(distillation, PixelSpace(model.network.size), words)
        case "upsampler", DeepFloydUpsampler():
            anchor = Anchor(model, settings.upsampling, render, start)
            return TextGuidance(distillation, PixelSpace(model.network.size), words, anchor)
        case "latent", StableDiffusionScore():
            side = model.network.size * model.codec.stride
            return TextGuidance(distillation, LatentSpace(side, model.codec, settings.posterior), words)
    raise InputError(f"a stage of kind {settings.kind!r} cannot use a {type(model).__name__}; check both")
