"""The map of where anchoring matters, from made-up runs."""

from __future__ import annotations

import json

import pytest

import anchoring_map
from _save import save
from castex.config import load_config
from castex.errors import IncompleteResults

LEVELS, SCALES = (50, 250), (4.0, 10.0)


@pytest.fixture
def runs(tmp_path):
    """Two textures per cell and arm; at level 50 the unanchored arm drifts 2 and 8 times as far."""
    places = []
    for source in ("anchored", "current"):
        for level in LEVELS:
            for scale in SCALES:
                for subject, factor in (("house", 2.0), ("mug", 8.0)):
                    method = f"map-{source}-{level}-{scale:g}"
                    place = tmp_path / "textures" / method / subject / "seed0"
                    place.mkdir(parents=True)
                    end = 0.01 * (factor if source == "current" and level == 50 else 1.0)
                    rows = [{"step": 0, "drift": 0.0}, {"step": 80, "drift": end}]
                    (place / "drift.json").write_text(json.dumps({"source": source, "rows": rows}))
                    settings = {
                        "upsampling": {"low_resolution": {"level": level}},
                        "distil": {"guidance_scale": scale},
                    }
                    (place / "result.json").write_text(json.dumps({"settings": settings}))
                    places.append(place)
    return places


def loaded(places):
    return anchoring_map.load([p / "drift.json" for p in places], [p / "result.json" for p in places])


def test_every_cell_is_the_geometric_mean_of_its_pairs(runs):
    table, ratios = loaded(runs)
    assert ratios == {
        (50, 4.0): pytest.approx(4),
        (50, 10.0): pytest.approx(4),
        (250, 4.0): 1,
        (250, 10.0): 1,
    }
    cells = table[table["method"] == "unanchored/anchored"].set_index("metric")["value"]
    assert cells["drift_ratio_level_50_scale_4"] == pytest.approx(4) and len(cells) == 4
    assert (table["metric"] == "drift").sum() == 16


def test_a_run_without_its_partner_is_an_error(runs):
    with pytest.raises(IncompleteResults, match="level 250, scale 10: the arms were not run on the same"):
        loaded(runs[:-1])


def test_the_map_draws_itself(runs, tmp_path):
    figure = anchoring_map.draw(loaded(runs)[1])
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["1.00", "1.00", "4.00", "4.00"]
    save(figure, [tmp_path / "map.pdf", tmp_path / "map.png"])
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_the_arms_of_a_cell_differ_in_the_condition_alone():
    for scale in ("mini", "paper"):
        config = load_config(scale)
        names = [name for name in config.variants if name.startswith("map-anchored-")]
        assert sorted(names) == sorted(set(config.textures_of("anchoring_map").methods[:6]))
        for name in names:
            level, guidance = name.split("-")[2:]
            one, other = (
                config.variants[n].model_dump() for n in (name, name.replace("anchored", "unanchored"))
            )
            assert one["stage"]["upsampling"].pop("source") == "anchored"
            assert other["stage"]["upsampling"].pop("source") == "current"
            assert one == other
            assert one["stage"]["upsampling"]["low_resolution"]["level"] == int(level)
            assert one["stage"]["distil"]["guidance_scale"] == float(guidance)
