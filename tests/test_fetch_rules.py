"""The rules of `fetch` as a reader meets them: what they plan, and a whole fetch from a server of our own."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT
from http_server import running
from snakemake_runs import planned, snakemake
from test_assets import glb

from castex.assets import read_sheet

PAPER = ["--configfile", "config/paper.yaml"]


def copied(root, folder):
    """What Snakemake needs of the checkout, to be changed by a test."""
    for name in ("Snakefile", "config", "workflow", "profiles", "data", "figures", "src"):
        source = root / name
        copier = shutil.copytree if source.is_dir() else shutil.copy2
        copier(source, folder / name)
    return folder


@pytest.fixture
def copy(root, tmp_path):
    return copied(root, tmp_path)


def edited_row(folder, asset, **cells):
    """Change cells of one row of the sheet."""
    path = folder / "data" / "assets.tsv"
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    for line in lines[1:]:
        if line[0] == asset:
            for name, value in cells.items():
                line[lines[0].index(name)] = value
    path.write_text("".join("\t".join(line) + "\n" for line in lines))


def test_the_paper_scale_fetches_everything_once(root):
    jobs = planned(root, "fetch_all", "--forceall", *PAPER)
    assert jobs["fetch_asset"] == 410 and jobs["fetch_file"] == 7 and jobs["fetch_objaverse"] == 1
    assert jobs["fetch"] == 9 and "prepare" not in jobs


def test_the_mini_scale_needs_no_network(copy):
    jobs = planned(copy, "fetch_all")
    assert jobs["fetch_asset"] >= 12 and "fetch_objaverse" not in jobs and "fetch_file" not in jobs
    snakemake(copy, "--cores", "2", "results/mini/lock/assets/vase.json", "results/mini/lock/assets/mug.json")
    lock = json.loads((copy / "results" / "mini" / "lock" / "assets" / "mug.json").read_text())
    assert lock["path"] == "data/mini/meshes/mug.glb" and lock["front"] == "+z"


def test_a_sheet_with_a_fault_stops_the_dry_run(copy):
    edited_row(copy, "vase", split="train")
    done = snakemake(copy, "-n", "fetch_all", check=False)
    assert done.returncode != 0 and "split: Input should be" in done.stdout + done.stderr


def test_an_unknown_asset_has_no_rule(root):
    done = snakemake(root, "-n", "results/mini/lock/assets/nobody.json", check=False)
    assert done.returncode != 0 and "No rule to produce" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole fetch of three objects, one of them gone, and one file, from a server of our own."""
    copy = copied(ROOT, tmp_path_factory.mktemp("fetched"))
    names = [row.asset for row in read_sheet(copy / "data" / "assets.tsv") if row.source == "objaverse"][:4]
    with pytest.MonkeyPatch.context() as patch, running() as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        places = {name: f"glbs/000-000/{name}.glb" for name in names}
        records = {name: {"name": "Thing", "license": "by", "user": {"username": "ann"}} for name in names}
        server.serve("/o/object-paths.json.gz", gzip.compress(json.dumps(places).encode()))
        server.serve("/o/metadata/000-000.json.gz", gzip.compress(json.dumps(records).encode()))
        for name in names[:2]:
            server.serve(f"/o/{places[name]}", glb())
        hdri = {
            "urls": [server.serve("/sky.hdr", b"#?RADIANCE\n")],
            "path": "hdri/sky.hdr",
            "licence": "CC0-1.0",
        }
        overlay = {
            "scale": "small",
            "assets": {"splits": ["benchmark"], "names": names[:3]},
            "objaverse": {"base_url": f"{server.url}/o"},
            "download": {"attempts": 1},
            "files": {"sky": hdri},
        }
        (copy / "small.yaml").write_text(yaml.safe_dump(overlay))
        snakemake(copy, "--cores", "2", "fetch_all", "--configfile", "small.yaml")
        asked = list(server.asked)
    return copy, names, asked


@pytest.fixture
def fetched(finished, tmp_path):
    """A private copy of the finished fetch, to be changed by one test."""
    folder, names, asked = finished
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy", names, asked


def test_a_whole_fetch_and_what_is_fetched_again(fetched):
    copy, names, asked = fetched
    lock = copy / "results" / "small" / "lock"
    small = ["fetch_all", "--configfile", "small.yaml"]
    ledger = (lock / "assets.tsv").read_text().splitlines()
    assert len(ledger) == 4 and sum("\ttrue\t" in line and "HTTP 404" in line for line in ledger) == 1
    assert sorted(path for path, _ in asked) == sorted(
        ["/sky.hdr", "/o/object-paths.json.gz", "/o/metadata/000-000.json.gz"]
        + [f"/o/glbs/000-000/{name}.glb" for name in names[:3]]
    )
    assert planned(copy, *small) == {}
    settings = (copy / "small.yaml").read_text()
    (copy / "small.yaml").write_text(settings.replace("attempts: 1", "attempts: 2"))
    assert planned(copy, *small) == {}, "patience makes no file anew"
    edited_row(copy, names[0], front="+z")
    again = {"fetch_asset": 1, "fetch_ledger": 1, "fetch_all": 1}
    assert planned(copy, *small) == again
    edited_row(copy, names[2], missing="true", reason="gone from the server")
    assert planned(copy, *small) == again | {"fetch_asset": 2}
    (copy / "small.yaml").write_text(settings.replace(f"- {names[1]}\n", f"- {names[1]}\n  - {names[3]}\n"))
    assert planned(copy, *small) == again | {"fetch_asset": 3}, "one more asset is one more job"


def test_after_a_fetch_nothing_needs_the_network(fetched):
    """The server is gone: everything is checked again, from the cache."""
    copy, names, _ = fetched
    edited_row(copy, names[2], missing="true", reason="gone from the server")
    command = ["snakemake", "--cores", "2", "fetch_all", "--configfile", "small.yaml", "--forceall"]
    cut = ["unshare", "-rn"]
    if subprocess.run([*cut, "true"], capture_output=True, check=False).returncode:
        cut = []
    done = subprocess.run([*cut, *command], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "gone from the server" in (copy / "results" / "small" / "lock" / "assets.tsv").read_text()
