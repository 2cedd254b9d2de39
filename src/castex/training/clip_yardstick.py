"""Is the judge right? Its names on held-out renders, and on objects that wear no material at all.

Held out are meshes and lights; pairs of colour and material are the corpus's own (`seen`) or pairs that it
never held (`held_out`). The control: grey objects, each scored against what a textured picture of the same
mesh, view word and light shows. Whoever names by shape, view or light does better than chance there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from castex.judge import Judge
from castex.panorama import GENERATED
from castex.progress import Progress
from castex.rng import generator
from castex.training.captions import UNTEXTURED, held_out
from castex.training.corpus import KINDS
from castex.training.corpus_data import PALETTE, Pictures
from castex.training.materials import MATERIALS
from castex.training.naming import Labels, accuracies, labels_of, name_pictures

REQUIRED = 0.95
"""Share of right names that a judge needs before any accuracy is reported."""
SIZES = (128, 32)
"""Sides in pixels of what it is shown: finished renders, and pictures of the base model."""
ALL = "all"
METRICS = ("accuracy_colour", "accuracy_material")
CHANCE = {"accuracy_colour": 1 / len(PALETTE), "accuracy_material": 1 / len(MATERIALS)}
# How far from chance the control may be, in standard errors of that many independent guesses.
ERRORS = 3.0
PART = 512
LARGEST = 4096
"""Most pictures of one set that are named; the standard error is then a third of a hundredth."""
MATERIAL, COLOUR, VIEW, LIGHT = 1, 2, 3, 5


@dataclass(frozen=True)
class Shown:
    """Pictures that are named together, and what they should be called."""

    index: Int[Tensor, " pictures"]
    wanted: Labels


def shown(pictures: Pictures, *, seed: int) -> dict[str, Shown]:
    """The three sets of a held-out corpus: `seen`, `held_out`, and `control` with borrowed labels."""
    facts = pictures.facts
    grey = facts[:, MATERIAL] == KINDS.index(UNTEXTURED)
    new = torch.tensor([held_out(KINDS[m], PALETTE[c]) for m, c in facts[:, [MATERIAL, COLOUR]].tolist()])
    seen = (~grey & ~new).nonzero().flatten()
    control = grey.nonzero().flatten()
    lenders = _lenders(facts, control, seen, seed)
    sets = {"seen": (seen, seen), "held_out": ((~grey & new).nonzero().flatten(),) * 2}
    sets["control"] = (control, lenders)
    stream = generator(seed, "choice", "yardstick")
    found = {}
    for name, (index, labels) in sets.items():
        chosen = torch.randperm(len(index), generator=stream)[:LARGEST]
        found[name] = Shown(index[chosen], labels_of(facts[labels[chosen]]))
    return found


def _lenders(
    facts: Int[Tensor, "pictures columns"],
    control: Int[Tensor, " grey"],
    seen: Int[Tensor, " textured"],
    seed: int,
) -> Int[Tensor, " grey"]:
    """For each grey picture a textured one of the same mesh, view word and light, or any where none is."""
    stream = generator(seed, "control", "yardstick")
    lenders = []
    for row in facts[control]:
        alike = (facts[seen][:, [0, VIEW, LIGHT]] == row[[0, VIEW, LIGHT]]).all(1)
        among = seen[alike] if alike.any() else seen
        lenders.append(among[torch.randint(len(among), (), generator=stream)])
    return torch.stack(lenders) if lenders else control


def named_at(judge: Judge, pictures: Pictures, index: Int[Tensor, " pictures"], size: int) -> Labels:
    """Names of some pictures of the corpus, after they were averaged down to `size` pixels."""
    progress, done, parts = Progress(f"name at {size} px", len(index)), 0, list[Labels]()
    for part in torch.split(index, PART):
        parts.append(name_pictures(judge, reduced(pictures.layers["image"][part], size)))
        done += len(part)
        progress.update(done)
    return Labels(torch.cat([p.material for p in parts]), torch.cat([p.colour for p in parts]))


def reduced(pictures: Tensor, size: int) -> Float[Tensor, "pictures 3 size size"]:
    """uint8 pictures in [0, 1], averaged over whole blocks."""
    values = pictures.float() / 255
    return values if values.shape[-1] == size else F.avg_pool2d(values, values.shape[-1] // size)


def clip_yardstick(judge: Judge, pictures: Pictures, *, seed: int = 0) -> dict[str, Any]:
    """Rows (variant, size, light, metric, value, count), their bounds, and the verdict.

    Only rows of all lights together are held against a bound.
    """
    rows: list[dict[str, Any]] = []
    confusions: dict[str, Any] = {}
    for variant, group in shown(pictures, seed=seed).items():
        for size in SIZES:
            named = named_at(judge, pictures, group.index, size)
            common = {"variant": variant, "size": size}
            rows += [{**common, "light": ALL, **row} for row in accuracies(named, group.wanted)]
            rows += _by_light(common, named, group, pictures.facts[group.index, LIGHT])
            if variant == "seen":
                confusions[str(size)] = most_confused(named, group.wanted)
    return {
        "required": REQUIRED,
        "chance": CHANCE,
        "standard_errors": ERRORS,
        "rows": rows,
        "confusions": confusions,
        "passed": all(holds(row) for row in rows),
    }


def _by_light(
    common: dict[str, Any], named: Labels, group: Shown, lights: Int[Tensor, " pictures"]
) -> list[dict[str, Any]]:
    found = []
    for number, light in enumerate(GENERATED):
        rows = lights == number
        scores = accuracies(named.at(rows), group.wanted.at(rows))
        found += [{**common, "light": light, **score} for score in scores]
    return found


def holds(row: dict[str, Any]) -> bool:
    """Whether one row is within its bounds: `seen` above the requirement, `control` near chance."""
    if row["metric"] not in METRICS or row["light"] != ALL:
        return True
    if row["variant"] == "seen":
        return bool(row["value"] >= REQUIRED)
    if row["variant"] == "control":
        chance = CHANCE[row["metric"]]
        error = math.sqrt(chance * (1 - chance) / max(row["count"], 1))
        return bool(abs(row["value"] - chance) <= ERRORS * error)
    return True


def most_confused(named: Labels, wanted: Labels, count: int = 8) -> list[dict[str, Any]]:
    """The most frequent wrong names, as shares of the pictures that show the right one."""
    found: list[dict[str, Any]] = []
    for words, said, right in (
        (MATERIALS, named.material, wanted.material),
        (PALETTE, named.colour, wanted.colour),
    ):
        for true, word in enumerate(words):
            names = said[right == true]
            shares = torch.bincount(names, minlength=len(words)) / max(len(names), 1)
            found += [
                {"shown": word, "named": words[k], "share": round(float(share), 4)}
                for k, share in enumerate(shares)
                if k != true and share > 0
            ]
    return sorted(found, key=lambda row: -row["share"])[:count]
