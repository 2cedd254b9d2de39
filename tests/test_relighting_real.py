"""The exhibit `relighting` on a real Objaverse file in its own materials, from a supplied folder."""

from __future__ import annotations

import csv
import json

import pandas as pd
import pytest
import yaml
from snakemake_runs import snakemake
from test_workflow_runs import copy_of_the_checkout

from castex.config import load_config

LAMP = "b416732d162e4e4d92ee9a37c65fedbc"


def test_at_the_paper_scale_the_rows_are_objects_as_they_come():
    config = load_config("paper")
    dresses = [config.dresses[name] for name in config.relighting.dresses]
    assert sum(dress.material is None for dress in dresses) == 3
    assert all(len(dress.asset) == 32 for dress in dresses)
    assert all(config.lights[name].file is not None for name in config.relighting.lights)


@pytest.fixture
def checkout(root, shared, tmp_path):
    """A copy with a sheet of one real object, and an overlay that shows it."""
    target = tmp_path / "run"
    copy_of_the_checkout(root, target)
    with (root / "data" / "assets.tsv").open(newline="") as stream:
        columns = next(csv.reader(stream, delimiter="\t"))
    row = dict.fromkeys(columns, "") | {"asset": LAMP, "source": "objaverse", "uid": LAMP}
    row |= {"category": "lamp", "prompt": "lamp", "split": "benchmark", "missing": "false"}
    with (target / "data" / "assets.tsv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)
    overlay = {
        "scale": "real",
        "assets": {"splits": ["benchmark"], "names": None, "prepare": {"size": 128}},
        "objaverse": {"base_url": "http://127.0.0.1:9", "supplied": str(shared / "objaverse_glb")},
        "download": {"attempts": 1, "backoff_s": 0, "timeout_s": 2},
        "dresses": {"lamp": {"asset": LAMP}},
        "relighting": {"dresses": ["lamp"], "lights": ["studio", "sunset"], "size": 64},
    }
    (target / "real.yaml").write_text(yaml.safe_dump(overlay))
    return target


def test_a_supplied_object_is_shown_with_its_author(checkout):
    snakemake(checkout, "--cores", "1", "relighting", "--configfile", "real.yaml")
    results = checkout / "results" / "real"
    table = pd.read_csv(results / "figures" / "relighting.csv")
    values = table.set_index("metric")["value"]
    assert set(table["asset"]) == {LAMP} and (values[["luminance_studio", "luminance_sunset"]] > 0.01).all()
    report = json.loads((results / "prepared" / LAMP / "report.json").read_text())
    assert report["attribution"]["author"].startswith("cowc2")
    assert report["attribution"]["licence"] == "CC-BY-SA-4.0"
    assert (results / "figures" / "relighting.pdf").stat().st_size > 5000
