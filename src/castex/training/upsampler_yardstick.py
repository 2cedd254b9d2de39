"""Is stage II better than enlarging? Its pictures of held-out renders, reduced and enlarged again.

One reduced picture of 32 px goes to all: to bicubic interpolation, to stage II, and to stage II as the
control, which begins with it as well but is given another render's as its condition, and must be worse than
bicubic. The verdict is on pictures reduced with antialiasing and hardly noised; how it does with a condition
as score distillation has it (nearest pixels, level 500) is reported beside; its start is as clean there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.diffusion import DeepFloydUpsampler
from castex.diffusion.deepfloyd import low_resolution
from castex.errors import InputError
from castex.prompt import TextEncoder
from castex.protocols import Condition, Image
from castex.rng import generator
from castex.sample import Sampler
from castex.score import psnr
from castex.settings.models import LowResolutionSettings
from castex.training.captions import UNTEXTURED, held_out, prompt
from castex.training.corpus_data import Pictures

MARGIN_DB = 2.0
TIMESTEPS = (600,)
"""One step from the noised low-resolution picture: x0_hat, the mean of what may have been there, is what PSNR
asks for and what distillation uses. More steps pick one of the possible pictures."""
SEED, BATCH = 0, 8
VARIANTS = ("seen", "held_out")
FEWEST = 2
"""Fewer pictures than this leave no other one for the control."""
FORMS: dict[str, tuple[Literal["nearest", "centred"], int]] = {
    "seen": ("centred", 50),
    "held_out": ("centred", 50),
    "seen_as_distilled": ("nearest", 500),
}
"""By variant: how pictures are reduced, and the level of the noise on them."""


@dataclass(frozen=True)
class Enlarged:
    """Renders in [0, 1] and what became of their reduced versions."""

    target: Image
    bicubic: Image
    ours: Image
    control: Image


def enlarged(
    model: DeepFloydUpsampler,
    encoder: TextEncoder,
    pictures: Pictures,
    index: list[int],
    settings: LowResolutionSettings,
) -> Enlarged:
    """Enlarge some pictures of a corpus; everything random comes from one fixed seed."""
    target = pictures.layers["image"][torch.tensor(index, dtype=torch.long)].float() / 255
    small = (settings.base_size, settings.base_size)
    low = (
        F.interpolate(target, small, mode="nearest")
        if settings.form == "nearest"
        else F.interpolate(target, small, mode="bilinear", antialias=True)
    )
    bicubic = F.interpolate(low, target.shape[-1], mode="bicubic").clamp(0, 1)
    facts = [pictures.facts_of(k) for k in index]
    texts = [prompt(f.material, f.colour, f.mesh, f.view) for f in facts]
    known = encoder.embed(list(dict.fromkeys(texts)))
    made: list[list[Tensor]] = [[], []]
    for start in range(0, len(index), BATCH):
        part = slice(start, start + BATCH)
        condition = Condition(text=known.of(texts[part]))
        for results, shown in zip(made, (low, low.roll(1, 0)), strict=True):
            results.append(_sampled(model, condition, low[part], shown[part], settings))
    return Enlarged(target, bicubic, torch.cat(made[0]), torch.cat(made[1]))


def _sampled(
    model: DeepFloydUpsampler,
    condition: Condition,
    low: Image,
    shown: Image,
    settings: LowResolutionSettings,
) -> Float[Tensor, "views 3 side side"]:
    stream = generator(SEED, "upsampler", "yardstick")
    whole = model.condition(condition, shown, settings, generator=stream)
    side = model.network.size
    noise = torch.randn(len(low), 3, side, side, generator=stream)
    start = model.schedule.noised(low_resolution(low, side, settings), noise, TIMESTEPS[0])
    sampler = Sampler(model, model.schedule, TIMESTEPS, model.threshold)
    return ((sampler(start, whole).float() + 1) / 2).clamp(0, 1)


def chosen(pictures: Pictures, variant: str, count: int) -> list[int]:
    """`count` pictures of a variant, evenly over the corpus; `held_out` are pairs that no training saw."""
    if count < FEWEST:
        raise InputError(f"{count} pictures are too few for the control; give at least {FEWEST}")
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
        "timesteps": list(TIMESTEPS),
        "forms": {variant: list(FORMS[variant]) for variant in results},
        "pictures": {variant: len(r.target) for variant, r in results.items()},
        "passed": passed,
    }
