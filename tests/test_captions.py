"""The grammar: what sentences say, what they leave out, and which pairs are held out."""

import re
from collections import Counter

import torch

from castex.training.captions import OWN_COLOUR, VIEWS, Facts, caption, held_out, prompt
from castex.training.materials import COLOURS, MATERIALS

FACTS = Facts("vase", "striped", "orange", "top view")


def drawn(facts, count=2000):
    stream = torch.Generator().manual_seed(0)
    return [caption(facts, stream) for _ in range(count)]


def test_prompts_are_sentences():
    assert prompt("striped", "red", "vase", "front view") == "a red striped vase, front view"
    assert prompt("brick", "orange") == "an orange brick object"
    # Gold and rust have a colour of their own.
    assert prompt("golden", "blue", "car") == "a golden car"
    assert prompt("untextured", "white", "car") == "a car"


def test_captions_leave_things_out_at_the_stated_rates():
    sentences = drawn(FACTS)
    share = {
        word: sum(word in s for s in sentences) / len(sentences) for word in ("orange", "striped", "view")
    }
    assert abs(share["orange"] - 0.92) < 0.03
    assert abs(share["striped"] - 0.92) < 0.03
    assert abs(share["view"] - 0.7) < 0.04
    assert all(re.match(r"an [aeiou]|a [^aeiou]", s) for s in sentences)
    # Both orders of the adjectives.
    orders = Counter(
        s.index("orange") < s.index("striped") for s in sentences if "orange" in s and "striped" in s
    )
    assert orders[True] > 4 * orders[False] > 0
    # Its own name, no name, and names that nobody heard of.
    names = Counter(s.split(",")[0].split()[-1] for s in sentences)
    assert abs(names["vase"] / len(sentences) - 0.55) < 0.05
    assert abs(names["object"] / len(sentences) - 0.2) < 0.04
    assert len(names) > 100


def test_gold_and_rust_never_name_a_colour():
    for material in OWN_COLOUR:
        for sentence in drawn(Facts("vase", material, "purple", "side view"), 200):
            assert not any(colour in sentence for colour in COLOURS)


def test_a_plain_thing_is_often_just_coloured():
    share = sum("plain" in s for s in drawn(Facts("car", "plain", "red", "side view"))) / 2000
    assert abs(share - 0.5) < 0.05


def test_held_out_pairs_are_one_per_material_and_spread_over_colours():
    pairs = [(m, c) for m in MATERIALS for c in COLOURS if held_out(m, c)]
    assert len(pairs) == len(MATERIALS) - len(OWN_COLOUR)
    assert {m for m, _ in pairs} == set(MATERIALS) - set(OWN_COLOUR)
    assert {c for _, c in pairs} == set(COLOURS)
    # No other kind of picture is ever held out.
    assert not held_out("untextured", "white")


def test_captions_repeat():
    assert drawn(FACTS, 50) == drawn(FACTS, 50)
    assert {"top view", "front view"} <= set(VIEWS)
