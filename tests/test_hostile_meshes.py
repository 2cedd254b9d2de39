"""Every broken mesh is used or refused with one sentence: quickly, in bounded memory, without NaN."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc

import hostile
import numpy as np
import pytest
from conftest import SHARED

from castex.errors import InputError
from castex.repair import repaired
from castex.scene_file import load_scene

QUICK_SECONDS = 10
BATCH = 125


def check_sound(scene, report):
    """What every later stage may rely on."""
    assert report["faces_kept"] == sum(len(part.t_vertex_idx) for part in scene.primitives) > 0
    dropped = sum(value for name, value in report.items() if name.startswith("faces_dropped"))
    assert report["faces_kept"] + dropped == report["faces_total"]
    for part in scene.primitives:
        assert part.t_vertex_idx.min() >= 0 and part.t_vertex_idx.max() < len(part.v_position)
        assert len(np.unique(part.t_vertex_idx)) == len(part.v_position)
        assert 0 <= part.material < len(scene.materials)
        for values in (part.v_position, part.v_normal, part.v_texcoord, part.v_color):
            assert values is None or (np.isfinite(values).all() and len(values) == len(part.v_position))
        if part.v_normal is not None:
            assert (np.linalg.norm(part.v_normal, axis=1) > 0).all()


@pytest.mark.parametrize("name", hostile.CASES)
def test_each_case_goes_its_way(name, tmp_path):
    path = hostile.CASES[name](tmp_path)
    start = time.monotonic()
    try:
        scene, report = repaired(load_scene(path))
    except InputError as error:
        outcome, sentence = "refused", str(error)
        assert 20 < len(sentence) < 600 + len(str(path)) and "\n" not in sentence
    else:
        outcome = "used"
        check_sound(scene, report)
    assert time.monotonic() - start < QUICK_SECONDS
    assert outcome == ("used" if name in hostile.USED else "refused")


@pytest.mark.parametrize("name", ["count_1e9", "zero_bomb", "huge_picture", "wide_json", "ply_count_1e9"])
def test_a_lie_about_size_costs_no_memory(name, tmp_path):
    path = hostile.CASES[name](tmp_path)
    tracemalloc.start()
    with pytest.raises(InputError):
        repaired(load_scene(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * path.stat().st_size + 10_000_000


def test_a_secret_beside_the_folder_is_never_read(tmp_path):
    """The files that the references aim at exist and are pictures; still none is opened."""
    from glb import png

    picture = png(np.full((8, 8, 3), 200, np.uint8))
    (tmp_path / "secret.png").write_bytes(picture)
    inner = tmp_path / "inner"
    inner.mkdir()
    for name in ("uri_parent", "uri_parent_encoded", "uri_backslash"):
        with pytest.raises(InputError, match="outside its own folder"):
            load_scene(hostile.CASES[name](inner))


def test_damaged_files_sample(tmp_path):
    outcomes = set()
    sources = hostile.sources(tmp_path / "sources", None)
    for seed in range(60):
        path = hostile.mutated(seed, sources[seed % len(sources)], tmp_path)
        try:
            check_sound(*repaired(load_scene(path)))
            outcomes.add("used")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"used", "refused"}


def test_mutations_are_repeatable(tmp_path):
    source = hostile.sources(tmp_path / "sources", None)[0]
    for seed in range(10):
        first = hostile.mutated(seed, source, tmp_path).read_bytes()
        assert hostile.mutated(seed, source, tmp_path).read_bytes() == first


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 500, BATCH))
def test_500_damaged_files_in_a_small_process(first, tmp_path, root):
    real = str(SHARED) if SHARED.is_dir() else "-"
    command = [sys.executable, str(root / "tests" / "hostile_child.py"), str(tmp_path), real, str(first)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(root / "src")}
    finished = subprocess.run(
        [*command, str(first + BATCH)], capture_output=True, text=True, env=environment, timeout=1800
    )
    lines = finished.stdout.splitlines()
    assert finished.returncode == 0, (
        f"seed {lines[-1:]}: exit {finished.returncode}\n{finished.stderr[-2000:]}"
    )
    assert len(lines) == BATCH
    assert {line.split()[-1] for line in lines} == {"used", "refused"}
