"""The sheet of textured objects: its cells, the judge's verdicts under them, and the means in the table."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import _gallery as gallery


def texture(folder, method, subject, seed, colour, material):
    place = folder / "textures" / method / subject / f"seed{seed}"
    place.mkdir(parents=True)
    pixels = np.full((8, 8, 3), 20 * seed + 100, dtype=np.uint8)
    Image.fromarray(pixels).save(place / "photograph.png")
    rows = [
        {"variant": variant, "metric": f"accuracy_{name}", "value": value * (variant == "ours"), "count": 8}
        for variant in ("ours", "control")
        for name, value in (("colour", colour), ("material", material))
    ]
    (place / "recognised.json").write_text(json.dumps({"prompt": f"a {subject}", "rows": rows}))
    return place


@pytest.fixture
def places(tmp_path):
    return [
        texture(tmp_path, method, f"mug-{k}", seed, 1.0, 0.5 + 0.25 * (method == "after"))
        for method in ("before", "after")
        for k in range(8)
        for seed in (3, 4)
    ]


def loaded(places):
    return gallery.load([p / "photograph.png" for p in places], [p / "recognised.json" for p in places])


def test_means_stand_beside_every_texture(places):
    table, cells = loaded(places)
    means = table[table["asset"] == "all"].set_index(["method", "variant", "metric"])["value"]
    assert means["before", "ours", "accuracy_material"] == 0.5
    assert means["after", "ours", "accuracy_material"] == 0.75
    assert means["after", "control", "accuracy_colour"] == 0
    assert len(table) == 32 * 4 + 8
    # The first seed alone is shown.
    assert len(cells) == 16 and {cell["seed"] for cell in cells} == {3}


def test_the_sheet_draws_itself(places, tmp_path):
    table, cells = loaded(places)
    figure = gallery.draw(table, cells)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(figure.axes) == 4 * gallery.COLUMNS and len(shown) == 16
    assert shown[0].get_title() == "a mug-0" and shown[0].get_xlabel() == "colour 100%, material 50%"
    assert [axes.get_ylabel() for axes in figure.axes[:: gallery.COLUMNS]] == ["before"] * 2 + ["after"] * 2
    files = ([str(p / name) for p in places] for name in ("photograph.png", "recognised.json"))
    names = {kind: str(tmp_path / f"g.{kind}") for kind in ("pdf", "png", "csv")}
    gallery.make(*files, SimpleNamespace(**names))
    assert len((tmp_path / "g.csv").read_text().splitlines()) == len(table) + 1
    with Image.open(tmp_path / "g.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
