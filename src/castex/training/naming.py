"""Which colour and material a picture shows in the judge's eyes: zero-shot, by sentences of the grammar.

A picture is compared with every sentence "a <colour> <material> object" (and with rust and gold, which have
no other colour). The probability of a colour is the sum over its sentences, that of a material likewise; the
share of "a <colour> object" and "a <material> object" among their like counts as a second witness. What is
seen in several glances at one picture is multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from castex.judge import Judge
from castex.maps import linear_to_srgb
from castex.protocols import Image
from castex.training.captions import OWN_COLOUR, held_out
from castex.training.materials import COLOURS, MATERIALS
from castex.training.sentences import COLOUR, MATERIAL, SILENT, lone_sentences, pair_sentences, said

PALETTE = tuple(COLOURS)
NEARER = 80
"""Side of a corner that is looked at by itself, in hundredths of the picture's."""


@dataclass(frozen=True)
class Labels:
    """A material and a colour per picture: indices in `MATERIALS` and `COLOURS`, or SILENT for no matter."""

    material: Int[Tensor, " pictures"]
    colour: Int[Tensor, " pictures"]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.material)

    def at(self, rows: Tensor) -> Labels:
        """Those of some pictures."""
        return Labels(self.material[rows], self.colour[rows])


def labels_of(facts: Int[Tensor, "pictures columns"]) -> Labels:
    """What pictures of a corpus show; rust and gold have no colour that could be asked for."""
    material, colour = facts[:, MATERIAL], facts[:, COLOUR]
    own = torch.tensor([MATERIALS.index(name) for name in OWN_COLOUR])
    return Labels(material, colour.masked_fill(torch.isin(material, own), SILENT))


def labels_in(texts: Sequence[str]) -> Labels:
    """What sentences of the grammar ask for."""
    rows = said(texts, ()).said
    return Labels(rows[:, MATERIAL], rows[:, COLOUR])


def never_seen(labels: Labels) -> list[bool]:
    """Whether each pair is one that the corpus never holds."""
    pairs = zip(labels.material.tolist(), labels.colour.tolist(), strict=True)
    return [min(m, c) >= 0 and held_out(MATERIALS[m], PALETTE[c]) for m, c in pairs]


def name_pictures(judge: Judge, images: Image) -> Labels:
    """Colour and material of linear pictures in [0, 1]; a colour is always named, also of gold and rust.

    The judge sees them with an sRGB curve, and six times: whole, mirrored, and its four corners from nearer.
    """
    pairs = pair_sentences()
    lone_colours, lone_materials = lone_sentences()
    groups = [text for _, _, text in pairs], lone_colours, lone_materials
    coloured = [k for k, (_, colour, _) in enumerate(pairs) if colour is not None]
    kinds = [MATERIALS.index(material) for material, _, _ in pairs]
    hues = [PALETTE.index(str(pairs[k][1])) for k in coloured]
    of_material, of_colour = torch.zeros(len(images), len(MATERIALS)), torch.zeros(len(images), len(PALETTE))
    for seen in glances(linear_to_srgb(images)):
        found = judge.similarities(seen, [text for group in groups for text in group])
        shares, colours, materials = (
            part.log_softmax(1) for part in torch.split(found, [len(group) for group in groups], dim=1)
        )
        of_material += _summed(shares, kinds, len(MATERIALS)) + materials
        of_colour += _summed(shares[:, coloured], hues, len(PALETTE)) + colours
    return Labels(of_material.argmax(1), of_colour.argmax(1))


def glances(images: Image) -> list[Float[Tensor, "views 3 _ _"]]:
    """A picture whole, mirrored, and its four corners, each four fifths of its side."""
    height, width = images.shape[2:]
    rows, columns = height * NEARER // 100, width * NEARER // 100
    corners = [
        images[:, :, top : top + rows, left : left + columns]
        for top in (0, height - rows)
        for left in (0, width - columns)
    ]
    return [images, images.flip(-1), *corners]


def _summed(shares: Float[Tensor, "pictures sentences"], places: list[int], words: int) -> Tensor:
    """Logarithm of the sum of the shares of all sentences that belong to each word."""
    belongs = torch.tensor(places)
    return torch.stack([shares[:, belongs == word].logsumexp(1) for word in range(words)], dim=1)


def accuracies(named: Labels, wanted: Labels) -> list[dict[str, Any]]:
    """Shares of right names among what was asked for: materials, colours, and all of a picture at once.

    Rows of metric, value and count; a metric that nothing was asked of has none.
    """
    material, colour = wanted.material != SILENT, wanted.colour != SILENT
    right_material = (named.material == wanted.material) | ~material
    right_colour = (named.colour == wanted.colour) | ~colour
    scores = {
        "accuracy_colour": (right_colour, colour),
        "accuracy_material": (right_material, material),
        "accuracy_both": (right_colour & right_material, colour | material),
    }
    return [
        {"metric": metric, "value": float(right[asked].double().mean()), "count": int(asked.sum())}
        for metric, (right, asked) in scores.items()
        if asked.any()
    ]


def scores_of_prompts(named: Labels, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Accuracies of pictures drawn from prompts, by variant.

    `seen` and `held_out` are pairs of the corpus and others. `control` is what was drawn without a prompt
    (the empty texts), scored against what the first prompts ask for, which it cannot know.
    """
    labels = labels_in(texts)
    new = torch.tensor(never_seen(labels))
    free = torch.tensor([text == "" for text in texts])
    asked = (~free).nonzero().flatten()
    control = free.nonzero().flatten()
    lenders = asked[torch.arange(len(control)) % len(asked)] if len(asked) else control
    sets = {
        "seen": ((~free & ~new).nonzero().flatten(),) * 2,
        "held_out": ((~free & new).nonzero().flatten(),) * 2,
        "control": (control, lenders),
    }
    return [
        {"variant": variant, **row}
        for variant, (rows, from_rows) in sets.items()
        for row in accuracies(named.at(rows), labels.at(from_rows))
    ]


def words_of(labels: Labels) -> list[dict[str, str | None]]:
    """The same in words; None where nothing is asked for."""
    return [
        {"material": MATERIALS[m] if m >= 0 else None, "colour": PALETTE[c] if c >= 0 else None}
        for m, c in zip(labels.material.tolist(), labels.colour.tolist(), strict=True)
    ]
