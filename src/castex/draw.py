"""Pictures from prompts with each kind of model: one function, and what each kind adds to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from castex.diffusion import DeepFloydBase, DeepFloydUpsampler, DepthControlNetScore, StableDiffusionScore
from castex.diffusion.deepfloyd import low_resolution
from castex.guidance import UNBOUNDED, ClassifierFree
from castex.progress import Progress
from castex.prompt import UNCONDITIONAL, Embeddings
from castex.protocols import Condition, Image, NoisePredictor, Sample
from castex.rng import generator
from castex.sample import Sampler, timesteps
from castex.schedule import NoiseSchedule
from castex.settings.models import ThresholdSettings
from castex.settings.samples import SampleSettings


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is asked for: prompts, their embeddings, and how they are drawn."""

    texts: Sequence[str]
    """The empty text asks for a picture without a prompt: the scale plays no part in it."""
    embeddings: Embeddings
    settings: SampleSettings

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.texts)

    def noise(self, shape: tuple[int, ...], purpose: str) -> Sample:
        """Standard normal noise per picture: it depends on the text and its place, never on the batch."""
        rows = [
            torch.randn(shape, generator=generator(self.settings.seed, f"{place} {text}", purpose))
            for place, text in enumerate(self.texts)
        ]
        return torch.stack(rows)

    def samples(
        self,
        predictor: NoisePredictor,
        schedule: NoiseSchedule,
        noise: Sample,
        *,
        threshold: ThresholdSettings = UNBOUNDED,
        condition: Condition | None = None,
        steps: Sequence[int] = (),
    ) -> Sample:
        """Clean samples; tensors in `condition` have one row per picture, `steps` are all unless given."""
        steps = steps or timesteps(self.settings.steps, len(schedule.alpha_bar))
        progress, found, done = Progress("draw", len(self)), list[Sample](), 0
        for rows in _batches(self.texts, self.settings.batch):
            # A picture without a prompt needs one half alone.
            free = self.texts[rows[0]] == UNCONDITIONAL
            scale = 1.0 if free else self.settings.guidance_scale
            guided = ClassifierFree(predictor, scale, self.embeddings.negative)
            part = self._condition(condition or Condition(), rows)
            found.append(Sampler(guided, schedule, steps, threshold)(noise[rows], part))
            done += len(rows)
            progress.update(done)
        return torch.cat(found)

    def _condition(self, given: Condition, rows: list[int]) -> Condition:
        return dataclasses.replace(
            given,
            text=self.embeddings.of([self.texts[row] for row in rows]),
            low_resolution=_rows(given.low_resolution, rows),
            depth=_rows(given.depth, rows),
        )


def _batches(texts: Sequence[str], size: int) -> list[list[int]]:
    """Places in order, in batches that hold either prompts alone or empty texts alone."""
    batches: list[list[int]] = []
    for place, text in enumerate(texts):
        alike = batches and (texts[batches[-1][0]] == UNCONDITIONAL) == (text == UNCONDITIONAL)
        if alike and len(batches[-1]) < size:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _rows(tensor: Tensor | None, rows: list[int]) -> Tensor | None:
    return None if tensor is None else tensor[rows]


def draw_base(model: DeepFloydBase, drawing: Drawing) -> Image:
    """Pictures in [0, 1] at the base model's size."""
    side = model.network.size
    noise = drawing.noise((3, side, side), "base")
    return _image(drawing.samples(model, model.schedule, noise, threshold=model.threshold))


def draw_enlarged(
    model: DeepFloydUpsampler, drawing: Drawing, base: Float[Tensor, "views 3 rows columns"]
) -> Image:
    """The base model's pictures at the upsampler's size, one per prompt."""
    settings, schedule, side = drawing.settings, model.schedule, model.network.size
    stream = generator(settings.seed, "samples", "low resolution")
    condition = model.condition(Condition(), base, settings.low_resolution, generator=stream)
    start, steps = drawing.noise((3, side, side), "upsampler"), list[int]()
    if settings.enlarge_from is not None:
        steps = timesteps(settings.steps, settings.enlarge_from)
        start = schedule.noised(low_resolution(base, side, settings.low_resolution), start, steps[0])
    return _image(
        drawing.samples(model, schedule, start, threshold=model.threshold, condition=condition, steps=steps)
    )


def draw_latent(model: StableDiffusionScore, drawing: Drawing) -> Image:
    """Pictures in [0, 1] from the codes of Stable Diffusion."""
    side = model.network.size
    codes = drawing.samples(model, model.schedule, drawing.noise((4, side, side), "latent"))
    return _decoded(model, codes)


def draw_on_depth(
    model: DepthControlNetScore, drawing: Drawing, depth: Float[Tensor, "1 3 height width"]
) -> Image:
    """The same with a ControlNet that is shown one depth picture, in [0, 1] and of the pictures' size."""
    side = model.base.network.size
    condition = Condition(depth=depth.expand(len(drawing), -1, -1, -1))
    noise = drawing.noise((4, side, side), "latent")
    return _decoded(model.base, drawing.samples(model, model.schedule, noise, condition=condition))


def _image(samples: Sample) -> Image:
    return ((samples.float() + 1) / 2).clamp(0, 1)


@torch.no_grad()
def _decoded(model: StableDiffusionScore, codes: Sample) -> Image:
    return torch.cat([model.codec.decode(part.float()) for part in torch.split(codes, 16)])
