"""Is stage II better than enlarging? Its pictures of held-out renders, reduced and enlarged again.

A render of 128 px is averaged to 32 and enlarged by bicubic interpolation, by stage II, and by stage II with
the low-resolution picture of another render: the control, which must be worse than bicubic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from castex.diffusion import DeepFloydUpsampler
from castex.errors import InputError
from castex.prompt import TextEncoder
from castex.protocols import Condition, Image
from castex.rng import generator
from castex.sample import Sampler, timesteps
from castex.score import psnr
from castex.settings.models import LowResolutionSettings
from castex.training.captions import UNTEXTURED, held_out, prompt
from castex.training.corpus_data import Pictures

MARGIN_DB = 2.0
STEPS, LEVEL, SEED, BATCH = 10, 50, 0, 8
VARIANTS = ("seen", "held_out")


@dataclass(frozen=True)
class Enlarged:
    """Renders in [0, 1] and what became of their reduced versions."""

    target: Image
    bicubic: Image
    ours: Image
    control: Image


def enlarged(
    model: DeepFloydUpsampler, encoder: TextEncoder, pictures: Pictures, index: list[int], base: int
) -> Enlarged:
    """Enlarge some pictures of a corpus; everything random comes from one fixed seed."""
    target = pictures.layers["image"][torch.tensor(index, dtype=torch.long)].float() / 255
    low = F.avg_pool2d(target, target.shape[-1] // base)
    bicubic = F.interpolate(low, target.shape[-1], mode="bicubic", antialias=False).clamp(0, 1)
    facts = [pictures.facts_of(k) for k in index]
    texts = [prompt(f.material, f.colour, f.mesh, f.view) for f in facts]
    known = encoder.embed(list(dict.fromkeys(texts)))
    ours, control = [], []
    for start in range(0, len(index), BATCH):
        part = slice(start, start + BATCH)
        condition = Condition(text=known.of(texts[part]))
        ours.append(_sampled(model, condition, target[part], base))
        control.append(_sampled(model, condition, target[part].roll(1, 0), base))
    return Enlarged(target, bicubic, torch.cat(ours), torch.cat(control))


def _sampled(model: DeepFloydUpsampler, condition: Condition, picture: Image, base: int) -> Image:
    stream = generator(SEED, "upsampler", "yardstick")
    settings = LowResolutionSettings(base_size=base, form="bilinear", level=LEVEL)
    whole = model.condition(condition, picture, settings, generator=stream)
    sampler = Sampler(model, model.schedule, timesteps(STEPS), model.threshold)
    noise = torch.randn(picture.shape, generator=stream)
    return ((sampler(noise, whole).float() + 1) / 2).clamp(0, 1)


def chosen(pictures: Pictures, variant: str, count: int) -> list[int]:
    """`count` pictures of a variant, evenly over the corpus; `held_out` are pairs that no training saw."""
    wanted = [
        k
        for k in range(len(pictures))
        if (f := pictures.facts_of(k)).material != UNTEXTURED
        and held_out(f.material, f.colour) == (variant == "held_out")
    ]
    if not wanted:
        raise InputError(f"there are no {variant} pictures; give the folder of the rule `held_out`")
    return [wanted[k * len(wanted) // count] for k in range(min(count, len(wanted)))]


def compared(results: dict[str, Enlarged]) -> dict[str, Any]:
    """PSNR in dB per variant, averaged over pictures, and whether stage II passes."""
    scores = {
        variant: {
            name: sum(psnr(a[None], b[None]) for a, b in zip(getattr(r, name), r.target, strict=True))
            / len(r.target)
            for name in ("bicubic", "ours", "control")
        }
        for variant, r in results.items()
    }
    for found in scores.values():
        found["margin"] = found["ours"] - found["bicubic"]
    passed = scores["seen"]["margin"] >= MARGIN_DB and scores["seen"]["control"] < scores["seen"]["bicubic"]
    return {
        "psnr_db": scores,
        "required_margin_db": MARGIN_DB,
        "steps": STEPS,
        "level": LEVEL,
        "pictures": {variant: len(r.target) for variant, r in results.items()},
        "passed": passed,
    }
