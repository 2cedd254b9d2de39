"""Figure 3 in closed form: derivation and runs agree, and both say what the paper's figure shows."""

from __future__ import annotations

import json

import pytest

from castex.anchoring_theory import SOURCES, derived, predictor, simulated, step_share
from castex.cli import main
from castex.files import write_json
from castex.settings.anchoring import AnchoringTheorySettings


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("level", [100, 500])
def test_runs_follow_the_derivation(source, level):
    settings = AnchoringTheorySettings(level=level, steps=150, learning_rate=0.2, runs=16)
    expected = derived(settings, source)
    runs = simulated(settings, source, seed=3)
    assert len(runs) == 16 and all(len(run) == 151 for run in runs)
    for step in (0, 10, 50, 150):
        mean = sum(run[step] for run in runs) / len(runs)
        assert mean == pytest.approx(expected[step], abs=0.05), step
    # The other arm's derivation is another curve.
    other = derived(settings, next(name for name in SOURCES if name != source))
    assert abs(other[-1] - expected[-1]) > 0.1


def test_both_arms_begin_alike_and_one_of_them_stops():
    settings = AnchoringTheorySettings(steps=4000)
    anchored, unanchored = (derived(settings, source) for source in SOURCES)
    assert anchored[1] == pytest.approx(unanchored[1], rel=1e-6) and anchored[0] == unanchored[0] == 0
    trust = predictor(settings).trust(settings.level)
    assert anchored[-1] == pytest.approx(1 - trust, rel=1e-3) and unanchored[-1] > 0.99
    assert anchored[-1] - anchored[2000] < 1e-3 < unanchored[-1] - unanchored[2000]


def test_a_step_covers_less_where_the_timesteps_are_low():
    window = {
        "form": "constant",
        "highest_first": 100,
        "highest_last": 99,
        "lowest_first": 20,
        "lowest_last": 9,
    }
    low = AnchoringTheorySettings(distil={"form": "x0", "window": window})
    assert step_share(low) < 0.2 * step_share(AnchoringTheorySettings())


def test_the_verb_writes_both_and_repeats_itself(tmp_path):
    settings = AnchoringTheorySettings(steps=5, runs=2)
    write_json(tmp_path / "s.json", settings.model_dump(mode="json"))
    for name in ("a", "b"):
        options = ["--settings", str(tmp_path / "s.json"), "--output", str(tmp_path / f"{name}.json")]
        assert main(["anchoring_theory", *options]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    found = json.loads((tmp_path / "a.json").read_text())
    assert set(found["covered"]) == set(SOURCES) and 0 < found["trust"] < 1
    assert found["covered"]["anchored"]["derived"] == derived(settings, "anchored")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"size": 33}, "no multiple of factor=4"),
        ({"distil": {"form": "eps"}}, "the derivation is for"),
        ({"distil": {"form": "x0"}}, "the derivation is for"),
    ],
)
def test_what_the_formula_does_not_cover_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        AnchoringTheorySettings(**values)
