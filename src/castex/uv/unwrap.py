"""Texture coordinates for a mesh that has none: xatlas in a killable child process, else a box projection.

xatlas makes the better charts; it also crashes, hangs and takes hours. It gets a time limit and a memory
limit, its result is checked, and whatever goes wrong leads to `fallback`, which always succeeds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from castex.errors import InputError
from castex.uv.fallback import box_unwrap
from castex.uv.raster import signed_areas
from castex.uv.report import uv_report

CHILD = (sys.executable, "-P", "-m", "castex.uv._xatlas_child")
FACE_LIMIT = 150_000
"""Connected surfaces with more triangles do not come back from xatlas within the time limit."""
LEAST_COVERAGE = 0.1
MOST_OVERLAP = 0.01
MOST_DEGENERATE = 0.01
SMALLEST_AREA = 1e-12
"""Of a face, relative to the square of its longest edge: below it there is nothing to texture."""


@dataclass(frozen=True)
class Unwrapped:
    """A new vertex buffer, split where the atlas has seams; every face of the old one is there."""

    v_source_idx: Int[np.ndarray, "vertices"]
    """Old vertex of each new one."""
    t_vertex_idx: Int[np.ndarray, "triangles 3"]
    """Corners in the order that the old triangle has them."""
    v_texcoord: Float[np.ndarray, "vertices 2"]
    """In [0, 1], origin at the top left, v down."""
    t_source_idx: Int[np.ndarray, "triangles"]
    """Old triangle of each new one."""
    method: Literal["xatlas", "box"]
    reason: str = ""
    """One sentence: why the box projection was used; empty for xatlas."""


class _Refused(Exception):
    """xatlas gave nothing that can be used; the message says why."""


def unwrap(
    v_position: Float[np.ndarray, "vertices 3"],
    t_vertex_idx: Int[np.ndarray, "triangles 3"],
    *,
    time_limit_s: float = 45.0,
    resolution: int = 1024,
    padding: int = 2,
    face_limit: int = FACE_LIMIT,
    memory_limit_mb: float = 1500.0,
    command: Sequence[str] = CHILD,
) -> Unwrapped:
    """A layout without overlap, its charts `padding` texels apart at `resolution`.

    Above `face_limit` triangles, or with a time limit of 0, xatlas is not tried. Faces without area get a
    point. `command` is the child process and takes five arguments: two
    files, seconds, megabytes, and the process that waits for it. Raises
    InputError for positions that are not finite or a mesh without a face that has an area.
    """
    if not np.isfinite(v_position).all():
        raise InputError("the mesh holds positions that are NaN or infinite; repair it first")
    points = _in_unit_box(v_position)
    solid = _solid(points[t_vertex_idx])
    if not solid.any():
        raise InputError(f"none of the mesh's {len(t_vertex_idx)} triangles has an area; give a surface")
    used, faces = np.unique(t_vertex_idx[solid], return_inverse=True)
    points, faces = points[used], faces.reshape(-1, 3)
    try:
        if len(faces) > face_limit:
            raise _Refused(f"{len(faces)} triangles are more than the {face_limit} that xatlas gets")
        if time_limit_s <= 0:
            raise _Refused(f"the time limit for xatlas is {time_limit_s:g} s")
        corner_chart, corner_uv = _by_xatlas(
            points, faces, time_limit_s, memory_limit_mb, resolution, padding, command
        )
        return _assembled(t_vertex_idx, solid, corner_chart, corner_uv, "xatlas", "")
    except _Refused as refusal:
        charts = box_unwrap(points, faces, resolution=resolution, padding=padding)
        corner_chart, corner_uv = np.repeat(charts.t_chart[:, None], 3, 1), charts.uv
        reason = f"{refusal}, so the box projection was used"
        return _assembled(t_vertex_idx, solid, corner_chart, corner_uv, "box", reason)


def _in_unit_box(v_position: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "vertices 3"]:
    """float32 positions with a longest side of 1, near the origin, where they have the most digits."""
    exact = v_position.astype(np.float64)
    low, high = exact.min(0, initial=np.inf), exact.max(0, initial=-np.inf)
    longest = float((high - low).max())
    moved = (exact - (low + high) / 2) / (longest if longest > 0 else 1.0)
    return np.asarray(moved, dtype=np.float32)


def _solid(corners: Float[np.ndarray, "triangles 3 3"]) -> Bool[np.ndarray, "triangles"]:
    exact = corners.astype(np.float64)
    edges = exact - np.roll(exact, 1, axis=1)
    area = np.linalg.norm(np.cross(edges[:, 1], edges[:, 2]), axis=1) / 2
    return np.asarray((area > SMALLEST_AREA * (edges**2).sum(2).max(1, initial=0)) & (area > 1e-20))


def _by_xatlas(
    points: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "triangles 3"],
    time_limit_s: float,
    memory_limit_mb: float,
    resolution: int,
    padding: int,
    command: Sequence[str],
) -> tuple[Int[np.ndarray, "triangles 3"], Float[np.ndarray, "triangles 3 2"]]:
    """New vertex and texture coordinate of each corner; _Refused when there is no good answer in time."""
    with tempfile.TemporaryDirectory(prefix="castex-unwrap-") as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(
            source, v_position=points, t_vertex_idx=faces.astype(np.uint32),
            resolution=np.int64(resolution), padding=np.int64(padding),
        )  # fmt: skip
        limits = (f"{time_limit_s + 5:g}", f"{memory_limit_mb:g}", str(os.getpid()))
        _run((*command, str(source), str(target), *limits), time_limit_s)
        v_source_idx, new_faces, v_texcoord = _read(target)
    if new_faces.shape != faces.shape or v_source_idx.ndim != 1 or v_texcoord.shape != (len(v_source_idx), 2):
        raise _Refused("xatlas lost triangles")
    if new_faces.min() < 0 or new_faces.max() >= len(v_source_idx):
        raise _Refused("xatlas named vertices that do not exist")
    if not np.array_equal(v_source_idx[new_faces], faces):
        raise _Refused("xatlas reordered the triangles")
    _check_layout(v_texcoord, new_faces, points[faces])
    corner_uv = v_texcoord[new_faces]
    if signed_areas(corner_uv).sum() > 0:  # seen from outside, v down: the charts are mirrored
        corner_uv[..., 1] = v_texcoord[:, 1].max() + v_texcoord[:, 1].min() - corner_uv[..., 1]
    return new_faces, corner_uv


def _run(command: Sequence[str], time_limit_s: float) -> None:
    """Run the child in a process group of its own and end the whole group when its time is up."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )
    except OSError as error:
        raise _Refused(f"xatlas could not be started ({error.strerror})") from error
    try:
        code = child.wait(timeout=time_limit_s)
    except subprocess.TimeoutExpired:
        raise _Refused(f"xatlas took longer than {time_limit_s:g} s") from None
    finally:
        # What a child has started goes with it, whether it hangs, ended or the user pressed Ctrl-C.
        _end_group(child)
    if code < 0:
        raise _Refused(f"xatlas crashed ({signal.Signals(-code).name})")
    if code > 0:
        raise _Refused(f"xatlas failed with exit status {code}")


def _end_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        child.wait()


def _read(
    path: Path,
) -> tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    try:
        with np.load(path, allow_pickle=False) as made:
            return (
                made["v_source_idx"].astype(np.int64),
                made["t_vertex_idx"].astype(np.int64),
                made["v_texcoord"].astype(np.float32),
            )
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _Refused("xatlas left no readable result") from error


def _check_layout(
    v_texcoord: Float[np.ndarray, "vertices 2"],
    faces: Int[np.ndarray, "triangles 3"],
    corners: Float[np.ndarray, "triangles 3 3"],
) -> None:
    if not np.isfinite(v_texcoord).all():
        raise _Refused("xatlas gave texture coordinates that are not finite")
    if v_texcoord.min() < 0 or v_texcoord.max() > 1:
        raise _Refused("xatlas gave texture coordinates outside [0, 1]")
    own = np.arange(corners.shape[0] * 3).reshape(-1, 3)
    report = uv_report(v_texcoord[faces].reshape(-1, 2), own, corners.reshape(-1, 3))
    if report["overlap"] > MOST_OVERLAP:
        raise _Refused(f"xatlas laid {report['overlap']:.1%} of the covered texels over each other")
    if report["coverage"] < LEAST_COVERAGE:
        raise _Refused(f"xatlas filled {report['coverage']:.1%} of the atlas")
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    lost = float(area[signed_areas(v_texcoord[faces].astype(np.float64)) == 0].sum() / area.sum())
    if lost > MOST_DEGENERATE:
        raise _Refused(f"xatlas gave {lost:.1%} of the surface no texture area")


def _assembled(
    t_vertex_idx: Int[np.ndarray, "triangles 3"],
    solid: Bool[np.ndarray, "triangles"],
    corner_chart: Int[np.ndarray, "solid 3"],
    corner_uv: Float[np.ndarray, "solid 3 2"],
    method: Literal["xatlas", "box"],
    reason: str,
) -> Unwrapped:
    """Number the distinct (old vertex, chart) pairs; a face without area becomes three new vertices."""
    chart = np.empty(t_vertex_idx.shape, dtype=np.int64)
    chart[solid] = corner_chart
    empty = np.flatnonzero(~solid)
    chart[empty] = int(corner_chart.max()) + 1 + np.arange(len(empty))[:, None]
    uv = np.zeros((*t_vertex_idx.shape, 2), dtype=np.float32)
    uv[solid] = corner_uv
    code = chart * (int(t_vertex_idx.max()) + 1) + t_vertex_idx
    _, first, new = np.unique(code, return_index=True, return_inverse=True)
    return Unwrapped(
        v_source_idx=t_vertex_idx.reshape(-1)[first],
        t_vertex_idx=new.reshape(-1, 3),
        v_texcoord=uv.reshape(-1, 2)[first].clip(0, 1),
        t_source_idx=np.arange(len(t_vertex_idx)),
        method=method,
        reason=reason,
    )
