"""Arms of an experiment differ in what they are named for and in nothing else; the sheet of ablations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import ablations
from _save import save
from castex.config import load_config
from castex.tally_textures import appraisal_rows

REFERENCE = "ablation-reference"
# What an arm may change, by the path of the setting.
CHANGES = {
    "ablation-latent": {"model", "stage.kind", "stage.distil.form"},
    "ablation-dip": {
        "stage.texture.kind", "stage.adam.learning_rate",
        "stage.texture.dip.width", "stage.texture.dip.scales",
    },
    "ablation-hash-grid": {
        "stage.texture.kind", "stage.adam.learning_rate",
        *(f"stage.texture.hash_grid.{key}" for key in ("levels", "table", "coarsest", "finest", "width")),
    },
    "ablation-unclamped": {"stage.distil.form"},
    "ablation-light-still": {"stage.shot.rotate_light"},
    "ablation-background-still": {"stage.shot.random_background"},
    "ablation-schedule-constant": {"stage.distil.window.form"},
}  # fmt: skip


def flat(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def changed(one, other):
    variants = load_config().variants
    a, b = (dict(flat(variants[name].model_dump())) for name in (one, other))
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


@pytest.mark.parametrize("arm", CHANGES)
def test_an_ablation_changes_what_it_is_named_for(arm):
    assert changed(REFERENCE, arm) == CHANGES[arm]


def test_the_arms_of_figure_3_differ_in_the_condition_alone():
    assert changed("anchored", "unanchored") == {"stage.upsampling.source"}
    assert changed("ablation-anchored", "ablation-unanchored") == {"stage.upsampling.source"}
    assert changed("ablation-anchored", "ablation-level-low") == {"stage.upsampling.low_resolution.level"}


def test_every_arm_is_on_the_sheet():
    config = load_config()
    named = config.textures["ablations"].reduced.methods
    arms = {name: arm for name, arm in config.variants.items() if name.startswith("ablation-")}
    # Those of stage II wait for a model that has passed its yardstick.
    assert set(named) == {name for name, arm in arms.items() if arm.model != "if_ii"}
    assert named[0] == REFERENCE and all(
        config.subjects[s].dress for s in config.textures["ablations"].full.subjects
    )


@pytest.fixture
def places(tmp_path):
    made = []
    for k, method in enumerate((REFERENCE, *CHANGES)):
        for seed in (0, 1):
            place = tmp_path / "textures" / method / "mug-checkered" / f"seed{seed}"
            place.mkdir(parents=True)
            Image.fromarray(np.full((8, 8, 3), 25 * k, dtype=np.uint8)).save(place / "photograph.png")
            rows = [
                {"variant": "ours", "metric": f"accuracy_{name}", "value": (seed + 1) / 2, "count": 8}
                for name in ("colour", "material")
            ]
            (place / "recognised.json").write_text(json.dumps({"rows": rows}))
            numbers = {
                "clip_score": 20.0 + k, "feature_distance": 0.5, "seam_energy": 0.3, "edge_energy": 0.1,
                "baked_light": 0.25,
            }  # fmt: skip
            true = numbers | {"seam_energy": 0.15}
            scores = {"scores": {"ours": numbers, "control": numbers, "same_material": true}}
            (place / "appraised.json").write_text(json.dumps(scores))
            made.append(place)
    return made


def test_the_sheet_shows_means(places, tmp_path):
    names = ("photograph.png", "recognised.json", "appraised.json")
    table, pictures = ablations.load(*([place / name for place in places] for name in names))
    assert list(pictures) == [REFERENCE, *CHANGES]
    figure = ablations.draw(table, pictures)
    shown = [cell for cell in figure.axes if cell.axison]
    assert len(shown) == 8 and shown[1].get_title() == "latent"
    assert shown[1].get_xlabel().splitlines() == [
        "colour 75%", "material 75%", "CLIP 21", "features 0.50", "seams 0.150", "light 25%",
    ]  # fmt: skip
    save(figure, [tmp_path / "a.png"])
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


def test_seams_count_beyond_those_of_the_true_material(places):
    rows = {(r["variant"], r["metric"]): r["value"] for r in appraisal_rows(places[0] / "appraised.json")}
    assert rows["ours", "seam_excess"] == pytest.approx(0.15)
    assert ("control", "baked_light") in rows and ("same_material", "seam_excess") not in rows
