"""Tidy rows: complete, unique, and named by what was run."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from castex.errors import IncompleteResults
from castex.tally import COLUMNS, reconstruction_rows, reported_rows, tidy, write_table

ROW = {"method": "m", "variant": "ours", "asset": "a", "seed": 0, "metric": "psnr", "value": 1.0}


def record(tmp_path, **changes):
    settings = {"space": "latent", "parameterisation": "explicit", "initial": "gaussian", "decoder_pull": 0}
    content = {
        "variant": "latent-explicit",
        "psnr_theta": 8.5,
        "psnr_decoded": 26.0,
        "psnr_ceiling": 27.0,
        "code_values": 1024,
        "seed": 3,
        "image": {"name": "astronaut.png"},
        "settings": settings | changes.pop("settings", {}),
    }
    path = tmp_path / "result.json"
    path.write_text(json.dumps({k: v for k, v in (content | changes).items() if v is not None}))
    return path


def test_sorted_with_exactly_the_columns():
    frame = tidy([ROW | {"seed": 1}, ROW])
    assert list(frame.columns) == COLUMNS and frame["seed"].tolist() == [0, 1]


def test_duplicates_and_gaps_raise():
    with pytest.raises(IncompleteResults, match="two values for m, ours, a, 0, psnr"):
        tidy([ROW, ROW])
    with pytest.raises(IncompleteResults, match="no value for m"):
        tidy([ROW | {"value": float("nan")}])


def test_rows_of_a_latent_run(tmp_path):
    rows = reconstruction_rows(record(tmp_path))
    assert {row["metric"]: row["value"] for row in rows} == {
        "psnr_theta": 8.5,
        "psnr_decoded": 26.0,
        "psnr_ceiling": 27.0,
        "code_values": 1024,
    }
    assert {(r["method"], r["variant"], r["asset"], r["seed"]) for r in rows} == {
        ("latent-explicit", "ours", "astronaut", 3)
    }


@pytest.mark.parametrize("name", ["latent-explicit-grey", "latent-explicit-wide"])
def test_other_arms_keep_their_names(tmp_path, name):
    assert reconstruction_rows(record(tmp_path, variant=name))[0]["variant"] == name


def test_a_missing_score_is_named(tmp_path):
    with pytest.raises(IncompleteResults, match=r"result\.json holds no psnr_decoded"):
        reconstruction_rows(record(tmp_path, psnr_decoded=None))


def test_reported_rows_carry_their_variant(root):
    rows = reported_rows(pd.read_csv(root / "data" / "reported.csv"), "toy")
    assert len(rows) == 6 and {row["variant"] for row in rows} == {"reported"}
    values = {(row["method"], row["metric"]): row["value"] for row in rows}
    assert values["latent-explicit", "psnr_theta"] == 8.53


def test_tables_keep_their_digits(tmp_path):
    write_table(tmp_path / "t.csv", tidy([ROW | {"value": 0.1 + 0.2}]))
    assert pd.read_csv(tmp_path / "t.csv", float_precision="round_trip")["value"][0] == 0.1 + 0.2
