"""Figure 3 from made-up measurements: rows, paired intervals, the picture, and what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.numpy import save_file

import sr_anchoring
from _save import save
from castex.errors import IncompleteResults, InputError
from castex.tally import tidy
from castex.tally_textures import drift_rows, late_growth, paired_ratio_rows, recognition_rows, theory_rows

STEPS = (0, 10, 40, 60, 90)


def written(folder, method, seed, factor):
    """Drift and recognition of one texture, as the rules leave them."""
    place = folder / "textures" / method / "house-brick" / f"seed{seed}"
    place.mkdir(parents=True)
    rows = [{"step": k, "drift": factor * k / 90, "detail": 20 - k / 9} for k in STEPS]
    controls = {"start": 20.0, "noise": 18.0, "same_material": 3.0}
    (place / "drift.json").write_text(json.dumps({"rows": rows, "controls": controls, "seed": seed}))
    names = ["truth", *(f"step_{k:06d}" for k in STEPS)]
    pictures = np.random.default_rng(seed).integers(0, 255, (3, 16, 16), dtype=np.uint8)
    save_file(dict.fromkeys(names, pictures), place / "drift.safetensors")
    seen = [
        {"variant": "ours", "metric": "accuracy_colour", "value": 1.0, "count": 8},
        {"variant": "ours", "metric": "accuracy_both", "value": 0.0, "count": 0},
    ]
    (place / "recognised.json").write_text(json.dumps({"rows": seen}))
    return place


@pytest.fixture
def runs(tmp_path):
    factors = {"anchored": (0.1, 0.12, 0.09), "unanchored": (0.2, 0.36, 0.27)}
    return [
        written(tmp_path, arm, k, factor) for arm, found in factors.items() for k, factor in enumerate(found)
    ]


def files(runs, name):
    return [place / name for place in runs]


def test_the_rows_name_method_subject_and_seed(runs):
    rows = drift_rows(runs[3] / "drift.json")
    assert {(row["method"], row["asset"], row["seed"]) for row in rows} == {("unanchored", "house-brick", 0)}
    ours = {row["metric"]: row["value"] for row in rows if row["variant"] == "ours"}
    assert ours["drift"] == ours["drift_after_0090"] == pytest.approx(0.2) and ours["detail"] == 10
    assert ours["late_growth"] == pytest.approx(1 / 3)
    assert {row["variant"] for row in rows} == {"ours", "start", "noise", "same_material"}
    (only,) = recognition_rows(runs[0] / "recognised.json")
    assert only["metric"] == "accuracy_colour", "what nobody asked for has no row"


def test_late_growth_is_read_between_snapshots():
    assert late_growth([{"step": k, "drift": k} for k in (0, 50, 90)]) == pytest.approx(1 / 3)
    level = [{"step": 0, "drift": 0.0}, {"step": 50, "drift": 2.0}, {"step": 90, "drift": 2.0}]
    assert late_growth(level) == 0 == late_growth([{"step": k, "drift": 0.0} for k in (0, 5, 9)])


def test_paired_ratios_have_an_interval(runs):
    rows = [row for path in files(runs, "drift.json") for row in drift_rows(path)]
    found = {
        row["metric"]: row["value"] for row in paired_ratio_rows(rows, "drift", "unanchored", "anchored")
    }
    logs = np.log([2, 3, 3])
    half = 4.302653 * logs.std(ddof=1) / math.sqrt(3)
    assert found["drift_ratio"] == pytest.approx(math.exp(logs.mean()), rel=1e-6)
    assert found["drift_ratio_low"] == pytest.approx(math.exp(logs.mean() - half), rel=1e-5)
    assert found["drift_ratio_high"] == pytest.approx(math.exp(logs.mean() + half), rel=1e-5)
    one = [row for row in rows if row["seed"] == 0]
    with pytest.raises(IncompleteResults, match="an interval needs two or more"):
        paired_ratio_rows(one, "drift", "unanchored", "anchored")
    lone = [row for row in rows if (row["method"], row["seed"]) != ("unanchored", 2)]
    with pytest.raises(IncompleteResults, match=r"no drift of \('unanchored', 'house-brick', 2\)"):
        paired_ratio_rows(lone, "drift", "unanchored", "anchored")


@pytest.fixture
def theory(tmp_path):
    path = tmp_path / "theory.json"
    arm = {"derived": [0.0, 0.1, 0.2], "runs": [[0.0, 0.1, 0.3], [0.0, 0.1, 0.2]]}
    path.write_text(json.dumps({"covered": {"anchored": arm, "unanchored": arm}}))
    return path


def test_theory_is_compared_with_the_mean_of_its_runs(theory):
    rows = {(row["method"], row["metric"]): row["value"] for row in theory_rows(theory)}
    assert rows["theory-anchored", "theory_misses_by"] == pytest.approx(0.05)
    assert rows["theory-unanchored", "runs_covered"] == pytest.approx(0.25)


def test_the_figure_draws_itself(runs, theory, tmp_path):
    table, shown = sr_anchoring.load(files(runs, "drift.json"), files(runs, "recognised.json"), theory)
    assert tidy(table.to_dict("records")).equals(table)
    assert set(shown["pictures"]) == {"anchored", "unanchored"}
    figure = sr_anchoring.draw(table, shown)
    assert "95 %" in figure.subfigs[1].axes[0].get_title()
    save(figure, [tmp_path / "a.png", tmp_path / "a.pdf"])
    with Pillow.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    with pytest.raises(InputError, match="the figure compares the methods"):
        sr_anchoring.load(files(runs[:3], "drift.json"), [], theory)


def test_a_curve_needs_a_snapshot(runs):
    path = runs[0] / "drift.json"
    record = json.loads(path.read_text())
    record["rows"] = record["rows"][:2]
    path.write_text(json.dumps(record))
    with pytest.raises(IncompleteResults, match="has 2 steps"):
        drift_rows(path)
