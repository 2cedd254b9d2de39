"""Does a base model draw what it is asked for? The judge names its samples.

Prompts are "a <colour> <material> object", now and then with a view: pairs that the corpus holds (`seen`),
pairs that it never held (`held_out`), and nothing at all (`control`, scored against the first prompts).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from castex.diffusion import DeepFloydBase
from castex.draw import Drawing, draw_base
from castex.judge import Judge
from castex.prompt import UNCONDITIONAL, TextEncoder
from castex.protocols import Image
from castex.settings.samples import SampleSettings
from castex.training.captions import OWN_COLOUR, VIEWS, held_out, prompt
from castex.training.materials import COLOURS, MATERIALS
from castex.training.naming import name_pictures, scores_of_prompts

SEEN, HELD_OUT, FREE = 256, 40, 64
"""Pictures of pairs that the corpus holds, of pairs that it does not, and without a prompt."""
REQUIRED = {"cpu": 0.85, "cuda": 0.90}
"""Share of right names, by the kind of machine that the model was trained on."""


def yardstick_prompts(seen: int = SEEN, new: int = HELD_OUT, free: int = FREE) -> list[str]:
    """The prompts, every pair as often as any other (but for one), view words and none in turn."""
    pairs = [(m, c) for m in MATERIALS for c in COLOURS if m not in OWN_COLOUR]
    known = [pair for pair in pairs if not held_out(*pair)] + [(m, "") for m in OWN_COLOUR]
    unknown = [pair for pair in pairs if held_out(*pair)]
    views = (*VIEWS, None)
    texts = [
        prompt(*among[k % len(among)], view=views[(k // len(among) + k) % len(views)])
        for among, count in ((known, seen), (unknown, new))
        for k in range(count)
    ]
    return texts + [UNCONDITIONAL] * free


def tiles(images: Image, columns: int) -> Float[Tensor, "1 3 rows columns"]:
    """Pictures of one size in rows of `columns`, as one picture; the last row is filled up with white."""
    missing = -len(images) % columns
    whole = torch.cat([images, images.new_ones(missing, *images.shape[1:])])
    rows = [torch.cat(list(row), dim=2) for row in torch.split(whole, columns)]
    return torch.cat(rows, dim=1)[None]


def sample_yardstick(
    model: DeepFloydBase,
    encoder: TextEncoder,
    judge: Judge,
    texts: list[str],
    settings: SampleSettings,
    *,
    trained_on: str,
) -> tuple[Image, dict[str, Any]]:
    """The pictures, and rows (variant, metric, value, count) with the bound and the verdict."""
    drawing = Drawing(texts, encoder.embed(list(dict.fromkeys([UNCONDITIONAL, *texts]))), settings)
    images = draw_base(model, drawing)
    rows = scores_of_prompts(name_pictures(judge, images), texts)
    required = REQUIRED[trained_on]
    found = [row["value"] for row in rows if row["variant"] == "seen"]
    record = {
        "sample": settings.model_dump(mode="json"),
        "required": required,
        "rows": rows,
        "passed": bool(found) and min(found) >= required,
    }
    return images, record
