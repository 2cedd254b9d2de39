"""Do the latent mini models use what they are given? On held-out renders, each with its control.

A prompt, or a depth picture, that belongs to the render must lower the error of the predicted noise; that of
another render must not. What the ControlNet draws must have the outline that it was shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from castex.diffusion import DepthControlNetScore, StableDiffusionScore
from castex.guidance import ClassifierFree
from castex.prompt import UNCONDITIONAL, Embeddings, TextEncoder
from castex.protocols import Condition, Image, NoisePredictor, Sample
from castex.rng import generator
from castex.sample import Sampler, timesteps
from castex.training.captions import prompt
from castex.training.controlnet import as_condition
from castex.training.corpus_data import Pictures
from castex.training.denoiser import Noising
from castex.training.latent_codes import pieces

VARIANTS = ("seen", "held_out")
"""Pairs of colour and material that the corpus has, and those that no training saw."""
TIMESTEPS = range(50, 1000, 100)
STEPS, SCALE, SEED, BATCH = 30, 5.0, 0, 16
BINS, APART = 8, 0.15
LEAST_IOU_GAIN = 0.2
"""By how much the outline must fit the depth shown better than that of another render."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shown:
    """Held-out renders in [0, 1] with what belongs to them."""

    images: Image
    depths: Float[Tensor, "views 3 height width"]
    texts: list[str]

    def __len__(self) -> int:
        """Number of renders."""
        return len(self.texts)


def shown(pictures: Pictures, index: list[int]) -> Shown:
    """Some pictures (layers `image` and `depth`) with the prompts that a user would give."""
    rows = torch.tensor(index, dtype=torch.long)
    facts = [pictures.facts_of(k) for k in index]
    texts = [prompt(f.material, f.colour, "object", f.view) for f in facts]
    images = pictures.layers["image"][rows].float() / 255
    return Shown(images, as_condition(pictures.layers["depth"][rows], CPU), texts)


def another(values: Tensor) -> Tensor:
    """The control: for each render, what belongs to one far away in the list."""
    return values.roll(max(len(values) // 2, 1), 0)


@torch.no_grad()
def codes_of(score: StableDiffusionScore, images: Image) -> Sample:
    """Scaled posterior means."""
    return torch.cat([score.codec.encode(part) for part in pieces(images, BATCH)])


@torch.no_grad()
def noise_errors(
    predictors: Mapping[str, tuple[NoisePredictor, Condition]], codes: Sample, noising: Noising
) -> dict[str, float]:
    """The loss of the training per predictor and condition: the same codes, timesteps and noise for all.

    Tensors in a condition have one row per code.
    """
    stream = generator(SEED, "latent", "yardstick")
    totals = dict.fromkeys(predictors, 0.0)
    for timestep in TIMESTEPS:
        eps = torch.randn(codes.shape, generator=stream)
        t = torch.full((len(codes),), timestep)
        x_t = noising.noised(codes, eps, t)
        for name, (predictor, condition) in predictors.items():
            for rows in pieces(torch.arange(len(codes)), BATCH):
                eps_hat = predictor(x_t[rows], timestep, part_of(condition, rows))
                error = noising.loss(eps_hat, eps[rows], t[rows])
                totals[name] += float(error) * len(rows) / len(codes) / len(TIMESTEPS)
    return totals


def part_of(condition: Condition, rows: Tensor) -> Condition:
    """The condition of some samples."""
    text, depth = condition.text, condition.depth
    return Condition(
        text=text if text is None or len(text) == 1 else text[rows],
        depth=None if depth is None else depth[rows],
    )


def text_errors(score: StableDiffusionScore, encoder: TextEncoder, held: Shown) -> dict[str, float]:
    """Errors with the prompt of the render, of another one, and with the empty prompt."""
    known = embedded(encoder, held.texts)
    right = known.of(held.texts)
    asked = {"right": right, "shuffled": another(right), "empty": known.negative}
    predictors: dict[str, tuple[NoisePredictor, Condition]] = {
        name: (score, Condition(text=text)) for name, text in asked.items()
    }
    return noise_errors(predictors, codes_of(score, held.images), Noising(score.schedule, CPU))


def depth_errors(control: DepthControlNetScore, encoder: TextEncoder, held: Shown) -> dict[str, float]:
    """Errors with the depth of the render, of another one, and without the ControlNet; right prompts."""
    text = embedded(encoder, held.texts).of(held.texts)
    predictors: dict[str, tuple[NoisePredictor, Condition]] = {
        "right": (control, Condition(text=text, depth=held.depths)),
        "shuffled": (control, Condition(text=text, depth=another(held.depths))),
        "without": (control.base, Condition(text=text)),
    }
    return noise_errors(predictors, codes_of(control.base, held.images), Noising(control.schedule, CPU))


def embedded(encoder: TextEncoder, texts: list[str]) -> Embeddings:
    """The texts and the empty one."""
    return encoder.embed(list(dict.fromkeys([*texts, UNCONDITIONAL])))


@torch.no_grad()
def drawn(
    score: StableDiffusionScore | DepthControlNetScore,
    encoder: TextEncoder,
    texts: list[str],
    depths: Float[Tensor, "views 3 height width"] | None = None,
) -> Image:
    """One picture per text, with classifier-free guidance and, for a ControlNet, on a depth picture each."""
    base = score.base if isinstance(score, DepthControlNetScore) else score
    known = embedded(encoder, texts)
    whole = Condition(text=known.of(texts), depth=depths)
    sampler = Sampler(ClassifierFree(score, SCALE, known.negative), score.schedule, timesteps(STEPS))
    stream, side = generator(SEED, "latent", "samples"), base.network.size
    noise = torch.randn(len(texts), base.network.channels, side, side, generator=stream)
    parts = [
        base.codec.decode(sampler(noise[rows], part_of(whole, rows)).float())
        for rows in pieces(torch.arange(len(texts)), BATCH)
    ]
    return torch.cat(parts)


def outline_of(images: Image) -> Bool[Tensor, "views height width"]:
    """Where a picture differs from its flat ground: from the most frequent colour along its border."""
    found = []
    for image in images:
        border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1)
        places = (border * BINS).long().clamp(max=BINS - 1)
        cells = (places * torch.tensor([[BINS * BINS], [BINS], [1]])).sum(0)
        ground = border[:, cells == cells.mode().values].median(1).values
        found.append((image - ground[:, None, None]).abs().amax(0) > APART)
    return torch.stack(found)


def overlap(
    found: Bool[Tensor, "views height width"], depths: Float[Tensor, "views 3 height width"]
) -> float:
    """Mean intersection over union of outlines with the objects of depth pictures."""
    object_ = depths[:, 0] > 0
    both, either = (found & object_).sum((1, 2)), (found | object_).sum((1, 2))
    return float((both / either.clamp_min(1)).mean())


def outline_overlaps(images: Image, held: Shown) -> dict[str, float]:
    """Of drawn pictures with the depth shown and with another; and the best that the measure can say."""
    found = outline_of(images)
    return {
        "right": overlap(found, held.depths),
        "shuffled": overlap(found, another(held.depths)),
        "render": overlap(outline_of(held.images), held.depths),
    }


def text_verdict(errors: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Whether the right prompt helps, per variant, and wrong ones do not."""
    passed = all(e["right"] < e["empty"] and e["right"] < e["shuffled"] for e in errors.values())
    return {"noise_error": errors, "passed": passed}


def depth_verdict(errors: dict[str, float], overlaps: dict[str, float]) -> dict[str, Any]:
    """Whether the right depth helps, and is followed."""
    helps = errors["right"] < min(errors["shuffled"], errors["without"])
    follows = overlaps["right"] >= overlaps["shuffled"] + LEAST_IOU_GAIN
    return {
        "noise_error": errors,
        "outline_iou": overlaps,
        "required_iou_gain": LEAST_IOU_GAIN,
        "passed": helps and follows,
    }
