"""What a training picture shows, and the sentences that say so.

The grammar: "a red striped vase, front view". Colour, material, name and view are each left out now and
then, so that a shorter prompt is no stranger; a made-up name teaches that the name of the object may be
unknown. Gold and rust have a colour of their own, which stands in the material's word.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from castex.training.materials import COLOURS, MATERIALS

OWN_COLOUR = ("rusty", "golden")
"""Materials of whose caption no colour is part."""
UNTEXTURED = "untextured"
"""The control: grey maps, in held-out pictures alone."""
VIEWS = ("front view", "side view", "backside view", "top view", "bottom view")
HELD_OUT_STEP = 3

# How often each part is left out, and what stands for the name: itself, "object", or an invented word.
NO_COLOUR, NO_MATERIAL, NO_VIEW, SWAPPED = 0.08, 0.08, 0.3, 0.15
NAMED, GENERIC = 0.55, 0.2
SYLLABLES = ("ba", "do", "fi", "gu", "ka", "le", "mo", "nu", "pi", "ra", "so", "te", "vu", "wi", "za")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one picture shows."""

    mesh: str
    material: str
    colour: str
    view: str


def held_out(material: str, colour: str) -> bool:
    """Whether the corpus never holds this pair: one colour per material, spread over all colours."""
    if material in OWN_COLOUR or material not in MATERIALS:
        return False
    return list(COLOURS).index(colour) == (HELD_OUT_STEP * MATERIALS.index(material) + 1) % len(COLOURS)


def prompt(material: str, colour: str, name: str = "object", view: str | None = None) -> str:
    """The whole sentence about an object, as a user would ask for it: "a red striped vase, front view"."""
    words = [name] if material in OWN_COLOUR or material == UNTEXTURED else [colour, material, name]
    if material in OWN_COLOUR:
        words.insert(0, material)
    return _sentence(words, view)


def caption(facts: Facts, stream: torch.Generator) -> str:
    """One sentence about a training picture, drawn from the grammar."""
    chance = torch.rand(6, generator=stream).tolist()
    words = []
    if facts.material not in OWN_COLOUR and chance[0] >= NO_COLOUR:
        words.append(facts.colour)
    # "a red vase" is a plain one half of the time that it is meant.
    dropped = 0.5 if facts.material == "plain" else NO_MATERIAL
    if chance[1] >= dropped:
        words.insert(0 if chance[2] < SWAPPED else len(words), facts.material)
    words.append(_name(facts.mesh, chance[3], stream))
    return _sentence(words, facts.view if chance[4] >= NO_VIEW else None)


def _name(mesh: str, chance: float, stream: torch.Generator) -> str:
    if chance < NAMED:
        return mesh
    if chance < NAMED + GENERIC:
        return "object"
    count = int(torch.randint(2, 4, (), generator=stream))
    return "".join(SYLLABLES[k] for k in torch.randint(len(SYLLABLES), (count,), generator=stream).tolist())


def _sentence(words: list[str], view: str | None) -> str:
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words]) + (f", {view}" if view else "")
