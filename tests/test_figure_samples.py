"""The exhibit of samples: its table, its labels, its sRGB curve, and its refusal of incomplete sheets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

import samples
from _save import save
from castex.errors import IncompleteResults
from castex.maps import linear_to_srgb
from castex.settings.models import PromptSettings
from castex.settings.samples import SamplesSettings
from castex.training.materials import COLOURS, MATERIALS
from castex.training.naming import labels_in, never_seen
from castex.training.sentences import pair_sentences

ASKED = [
    {"text": "a red striped vase", "asked": {"material": "striped", "colour": "red"}},
    {"text": "an orange striped vase", "asked": {"material": "striped", "colour": "orange"}},
    {"text": "a golden vase", "asked": {"material": "golden", "colour": None}},
    {"text": "a golden vase, side view", "asked": {"material": "golden", "colour": None}},
]


def record(name, size, base=None, control=True):
    free = [("control", "colour", 0.1, 10), ("control", "material", 0.2, 10)] if control else []
    scores = [
        ("seen", "colour", 1.0, 1), ("seen", "material", 0.5, 2), ("held_out", "colour", 0.0, 1),
        ("held_out", "material", 1.0, 2), *free,
    ]  # fmt: skip
    return {
        "name": name,
        "model": {"stage": "upsampler" if base else "base", "base": base},
        "sample": {"steps": 50, "seed": 0},
        "size": size,
        "pictures": [one | {"named": {}} for one in ASKED] + [{"text": "", "asked": {}, "named": {}}],
        "scores": [
            {"variant": variant, "metric": f"accuracy_{word}", "value": value, "count": count}
            for variant, word, value, count in scores
        ],
    }


@pytest.fixture
def records():
    return [record("if_xl", 32), record("if_ii", 64, base="if_xl", control=False)]


def pictures(size, count=5):
    return np.random.default_rng(size).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def test_the_table_is_tidy(records):
    table = samples.load(records)
    assert list(table.columns) == ["method", "variant", "asset", "seed", "metric", "value"]
    chosen = table[(table["method"] == "if_xl") & (table["variant"] == "control")]
    assert dict(zip(chosen["metric"], chosen["value"], strict=True)) == {
        "accuracy_colour": 0.1, "accuracy_material": 0.2, "count_colour": 10, "count_material": 10,
    }  # fmt: skip
    assert len(table) == 2 * (6 + 4)


def test_the_sheet_names_models_materials_and_colours(records, tmp_path):
    figure = samples.draw(records, [pictures(32), pictures(64, 4)], columns=2)
    assert len(figure.axes) == 2 * 4
    shown = {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}
    assert "striped\nred | orange" in shown and "golden\nno colour asked" in shown
    assert "if_xl\n32 px, 50 steps\ncolour 50% (10%)\nmaterial 75% (20%)" in shown
    assert "if_xl + if_ii\n64 px, 50 steps\ncolour 50%\nmaterial 75%" in shown
    save(figure, [tmp_path / "samples.pdf", tmp_path / "samples.png"])
    assert (tmp_path / "samples.pdf").stat().st_size > 5000


def test_pictures_get_the_curve_of_the_package():
    given = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 1, 1)
    ours = samples.displayed(given.numpy())
    assert ours.shape == (256, 1, 1, 3)
    assert np.abs(ours[..., 0, 0, 0] - linear_to_srgb(given[:, 0, 0, 0] / 255).numpy()).max() < 1e-5


def test_a_model_without_its_pictures_is_refused(records):
    with pytest.raises(IncompleteResults, match="if_ii drew 3 of 4 pictures"):
        samples.draw(records, [pictures(32), pictures(64, 3)], columns=2)


def test_the_configured_sheet_is_what_its_caption_says(root):
    """Every material once per row: left a pair that the corpus holds, right one that it does not."""
    told = yaml.safe_load((root / "config" / "experiments" / "samples.yaml").read_text())
    settings = SamplesSettings.model_validate(told["samples"])
    prompts = PromptSettings.model_validate(told["prompts"][settings.prompts])
    labels = labels_in(prompts.texts)
    left, right = labels.material[0::2], labels.material[1::2]
    assert left.tolist() == right.tolist() and sorted(left.tolist()) == list(range(len(MATERIALS)))
    assert set(labels.colour.tolist()) == {-1, *range(len(COLOURS))}
    coloured = labels.colour[1::2] >= 0
    assert never_seen(labels)[0::2] == [False] * len(MATERIALS)
    assert never_seen(labels)[1::2] == coloured.tolist()
    pairs = {
        text.removeprefix("an ").removeprefix("a ").removesuffix(" object") for *_, text in pair_sentences()
    }
    for text in prompts.texts:
        assert text.split(" teapot")[0].split(" ", 1)[1] in pairs
