"""Every finite surface gets a layout in seconds, whatever xatlas does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshes_for_uv import check_unwrapped, grid, icosphere, islands, spiral

from castex.errors import InputError
from castex.uv.fallback import box_unwrap
from castex.uv.shelf import packed
from castex.uv.unwrap import CHILD, unwrap


@st.composite
def soups(draw):
    """Triangles over a few shared points: folds, slivers, duplicates, edges with many faces."""
    count = draw(st.integers(3, 12))
    coordinate = st.integers(-3, 3) | st.floats(-3, 3, width=16)
    points = draw(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=count, max_size=count))
    corner = st.integers(0, count - 1)
    faces = draw(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=30))
    return np.array(points, dtype=np.float32), np.array(faces, dtype=np.int64)


@settings(max_examples=60, deadline=None)
@given(soups())
def test_any_soup_is_unwrapped_or_refused(soup):
    position, triangles = soup
    try:
        made = unwrap(position, triangles, time_limit_s=0.0, resolution=256)
    except InputError as error:
        assert "has an area" in str(error)
        edges = position[triangles].astype(np.float64)
        area = np.linalg.norm(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1)
        assert area.max() < 1e-6
        return
    check_unwrapped(made, position, triangles)
    assert made.method == "box"


def test_xatlas_serves_an_ordinary_mesh():
    position, triangles = icosphere(3)
    made = unwrap(position, triangles)
    assert (made.method, made.reason) == ("xatlas", "")
    assert check_unwrapped(made, position, triangles)["coverage"] > 0.4
    again = unwrap(position, triangles)
    assert again.v_texcoord.tobytes() == made.v_texcoord.tobytes()


def test_the_icosphere_that_crashes_xatlas():
    position, triangles = icosphere(6)
    made = unwrap(position, triangles)
    report = check_unwrapped(made, position, triangles)
    assert report["stretch_95"] < 1.5
    # The day that xatlas survives it, there is no reason to give.
    assert (made.method == "box") == ("xatlas" in made.reason)


HANG = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[0]).with_name("pid").write_text(str(child.pid))
while True: pass
"""
WRITE = """
import sys
import numpy as np
given = np.load(sys.argv[1])
faces = given["t_vertex_idx"].astype(int)
count = len(given["v_position"])
uv = np.random.default_rng(0).random((count, 2))
source = np.arange(count)
{change}
np.savez(open(sys.argv[2], "wb"), v_source_idx=source, t_vertex_idx=faces, v_texcoord=uv)
"""
FAULTS = {
    "crashed (SIGABRT)": "import os; os.abort()",
    "exit status 3": "import sys; sys.exit(3)",
    "readable result": "pass",
    "no readable": "import sys; open(sys.argv[2], 'wb').write(b'PK garbage')",
    "left no": WRITE.format(change="uv = np.array([object()])"),
    "not finite": WRITE.format(change="uv[3] = np.nan"),
    "outside [0, 1]": WRITE.format(change="uv *= 2"),
    "over each other": WRITE.format(change=""),
    "lost triangles": WRITE.format(change="faces = faces[1:]"),
    "do not exist": WRITE.format(change="faces += count"),
    "reordered": WRITE.format(change="faces = faces[::-1]"),
    "filled": WRITE.format(change="uv *= 1e-3"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_xatlas_may_do_wrong(fault, tmp_path):
    script = tmp_path / "child.py"
    script.write_text(FAULTS[fault])
    position, triangles = icosphere(1)
    made = unwrap(position, triangles, command=(sys.executable, str(script)), resolution=128)
    assert made.method == "box" and fault in made.reason
    check_unwrapped(made, position, triangles)


def test_a_hanging_child_is_ended_with_all_it_started(tmp_path):
    script = tmp_path / "child.py"
    script.write_text(HANG)
    position, triangles = icosphere(1)
    start = time.monotonic()
    made = unwrap(
        position, triangles, command=(sys.executable, str(script)), time_limit_s=2.0, resolution=128
    )
    assert time.monotonic() - start < 10
    assert made.method == "box" and "longer than 2 s" in made.reason
    grandchild = int((tmp_path / "pid").read_text())
    for _ in range(50):
        if not _running(grandchild):
            break
        time.sleep(0.1)
    assert not _running(grandchild)


def _running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_missing_child_is_no_reason_to_fail():
    position, triangles = icosphere(1)
    made = unwrap(position, triangles, command=("/nonexistent/python",), resolution=128)
    assert made.method == "box" and "could not be started" in made.reason


def test_the_memory_limit_reaches_the_child():
    position, triangles = icosphere(1)
    made = unwrap(position, triangles, memory_limit_mb=50.0, resolution=128)
    assert made.method == "box" and "xatlas" in made.reason


def test_the_child_ends_by_itself(tmp_path):
    """An infinite vertex makes xatlas hang; nobody is there to end it."""
    position, triangles = icosphere(2)
    position[0] = np.inf
    source, target = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(source, v_position=position, t_vertex_idx=triangles.astype(np.uint32), resolution=64, padding=2)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*CHILD, source, target, "3", "1500"], timeout=60, capture_output=True, env=environment, check=False
    )
    assert done.returncode != 0 or not np.isfinite(np.load(target)["v_texcoord"]).all()


def test_bad_positions_are_refused_and_flat_faces_get_a_point():
    position, triangles = icosphere(1)
    broken = position.copy()
    broken[0, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        unwrap(broken, triangles)
    with pytest.raises(InputError, match="area"):
        unwrap(position, np.array([[0, 0, 1]]))
    with pytest.raises(InputError, match="none of the mesh's 0"):
        unwrap(position, np.zeros((0, 3), dtype=np.int64))
    flat = np.concatenate([triangles, [[0, 0, 1], [5, 5, 5]]])
    for limit in (0.0, 45.0):
        made = unwrap(position, flat, time_limit_s=limit, resolution=128)
        check_unwrapped(made, position, flat)
        assert len(np.unique(made.v_texcoord[made.t_vertex_idx[-2]], axis=0)) == 1


def test_far_and_tiny_and_huge_objects_have_the_same_layout():
    position, triangles = icosphere(2)
    layouts = [
        unwrap((position * scale).astype(np.float32), triangles, time_limit_s=0.0, resolution=64).v_texcoord
        for scale in (1, 2.0**-60, 2.0**60)
    ]
    assert np.array_equal(layouts[0], layouts[1]) and np.array_equal(layouts[0], layouts[2])
    far = unwrap(position + np.float32(4096), triangles, time_limit_s=0.0, resolution=64)
    check_unwrapped(far, position + np.float32(4096), triangles)


def test_large_meshes_and_many_islands_skip_xatlas_or_fill_the_atlas():
    position, triangles = islands(100_000)
    start = time.monotonic()
    made = unwrap(position, triangles, face_limit=50_000)
    assert time.monotonic() - start < 30
    assert made.method == "box" and "more than the 50000" in made.reason
    assert check_unwrapped(made, position, triangles)["coverage"] > 0.15


def test_a_ramp_that_covers_itself_becomes_few_charts():
    position, triangles = spiral()
    charts = box_unwrap(position, triangles, resolution=256, padding=2)
    assert 6 <= len(np.unique(charts.t_chart)) < 30
    check_unwrapped(unwrap(position, triangles, time_limit_s=0.0, resolution=256), position, triangles)


def test_charts_stay_the_padding_apart():
    """No two charts meet within the texels that were asked for."""
    position, triangles = icosphere(3)
    charts = box_unwrap(position, triangles, resolution=256, padding=6)
    corners = charts.uv.reshape(-1, 2) * 256
    owner = np.repeat(charts.t_chart, 3)
    for k in np.unique(owner):
        mine, others = corners[owner == k], corners[owner != k]
        low, high = mine.min(0), mine.max(0)
        gap = np.maximum(low - others, others - high).max(1)
        assert gap.min() >= 6 - 1e-3
        assert low.min() >= 3 - 1e-3 and high.max() <= 253 + 1e-3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.002, 0.05, 0.4]),
)
def test_shelves_never_overlap(sizes, margin):
    boxes = np.array(sizes)
    place, turned, scale = packed(boxes, margin)
    low = place
    high = place + scale * np.where(turned[:, None], boxes[:, ::-1], boxes)
    assert low.min() >= 0 and high.max() <= 1 + 1e-9
    for k in range(len(boxes)):
        apart = np.maximum(low[k] - high, low - high[k]).max(1)
        assert np.delete(apart, k).min(initial=1) >= -1e-9


def test_a_square_needs_one_chart():
    _, triangles, position = grid(4)
    charts = box_unwrap(position, triangles, resolution=512, padding=2)
    assert len(np.unique(charts.t_chart)) == 1
    extent = np.ptp(charts.uv.reshape(-1, 2), axis=0)
    assert np.allclose(extent, 1 - 2 / 512, atol=1e-6)
