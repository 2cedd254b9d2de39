"""What a sentence of the grammar says, and of which pictures it is true: the targets of the mini CLIP.

Two pictures of one batch may show the same thing, and a caption that leaves a part out is true of more
pictures than its own. So a pair counts as matching when nothing that the sentence says is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from castex.training.captions import OWN_COLOUR, VIEWS, prompt
from castex.training.corpus import KINDS
from castex.training.materials import COLOURS, MATERIALS

PALETTE = tuple(COLOURS)
SILENT = -1
PARTS = 4
"""Mesh, material, colour, view: the first columns of the corpus's facts."""
# Columns of a said row.
MESH, MATERIAL, COLOUR, VIEW = range(PARTS)


@dataclass(frozen=True)
class Sentences:
    """Some sentences and what each says: indices as in the corpus's facts, or SILENT."""

    texts: tuple[str, ...]
    said: Int[Tensor, "sentences 4"]


def said(texts: Sequence[str], meshes: Sequence[str]) -> Sentences:
    """Take sentences of the grammar apart; words that it does not know, as invented names, say nothing."""
    rows = []
    for text in texts:
        body, _, view = text.partition(", ")
        row = [SILENT] * PARTS
        row[VIEW] = VIEWS.index(view) if view else SILENT
        for word in body.split():
            if word in meshes:
                row[MESH] = list(meshes).index(word)
            elif word in MATERIALS:
                row[MATERIAL] = KINDS.index(word)
            elif word in COLOURS:
                row[COLOUR] = PALETTE.index(word)
        rows.append(row)
    return Sentences(tuple(texts), torch.tensor(rows))


def true_of(
    facts: Int[Tensor, "pictures columns"], said: Int[Tensor, "sentences 4"]
) -> Bool[Tensor, "pictures sentences"]:
    """Whether nothing that a sentence says is false of a picture.

    Rust and gold have no colour of their own, so a sentence with a colour is not true of them.
    """
    shown = facts[:, None, :PARTS].clone()
    own = torch.tensor([KINDS.index(name) for name in OWN_COLOUR])
    shown[..., COLOUR] = shown[..., COLOUR].where(~torch.isin(shown[..., MATERIAL], own), PARTS * len(KINDS))
    return ((said == SILENT) | (said == shown)).all(-1)


def pair_sentences() -> list[tuple[str, str | None, str]]:
    """(material, colour, sentence) of every pair, and of rust and gold without a colour."""
    found: list[tuple[str, str | None, str]] = []
    for material in MATERIALS:
        colours = [None] if material in OWN_COLOUR else list(COLOURS)
        found += [(material, colour, prompt(material, colour or "")) for colour in colours]
    return found


def lone_sentences() -> tuple[list[str], list[str]]:
    """One sentence per colour, and one per material, each alone: "a red object", "a striped object"."""
    colours = [with_article(f"{word} object") for word in COLOURS]
    return colours, [with_article(f"{word} object") for word in MATERIALS]


def without_colour(text: str) -> str:
    """A sentence of the grammar that no longer says a colour."""
    words = [word for word in text.split()[1:] if word not in COLOURS]
    return with_article(" ".join(words))


def with_article(words: str) -> str:
    """ "striped vase" as "a striped vase"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def matched(
    logits: Float[Tensor, "rows columns"],
    matches: Bool[Tensor, "rows columns"],
    fair: Bool[Tensor, "rows columns"],
) -> Float[Tensor, ""]:
    """Cross-entropy against equal shares of all matches, over the rows that have any.

    A pair that is not `fair` is neither a match nor a mismatch: nobody can tell.
    """
    weights = (matches & fair).float()
    targets = weights / weights.sum(1, keepdim=True).clamp_min(1)
    shares = logits.masked_fill(~fair, -torch.inf).log_softmax(1)
    return -(targets * shares.where(targets > 0, 0)).sum() / targets.sum().clamp_min(1)
