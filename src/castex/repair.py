"""What a renderer and an unwrapper cannot bear is taken out of a scene before they see it, and counted.

Positions are compared as the renderer will have them: centred, scaled to a longest side of 2, and rounded to
float32. What has no area then, or coincides then, is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from castex.errors import InputError
from castex.scene import Primitive, Scene
from castex.weld import welded

# Beyond this, squares overflow and float32 has no room.
LARGEST_COORDINATE = 1e30
# Beyond this, float32 no longer tells texels apart.
LARGEST_TEXCOORD = 1e4
# Twice the area over the squared longest edge: below it a triangle is a line.
SMALLEST_FLATNESS = 1e-10
SMALLEST_NORMAL = 1e-12

Points = Float64[np.ndarray, "vertices 3"]
Triangles = Int64[np.ndarray, "triangles 3"]


def repaired(scene: Scene) -> tuple[Scene, dict[str, int]]:
    """The scene without broken triangles, and counts of what was found.

    Dropped: triangles with NaN, infinite or absurdly large (above 1e30) corners, without area, or equal in
    corners and winding to an earlier one of the same primitive; vertices that nothing refers to. Unusable
    normals are replaced by face normals, unusable texture coordinates by (0, 0) (the attribute is dropped
    where all are), unusable colours by white. Winding, holes and non-manifold edges are left and counted:
    `boundary_edges` has one triangle, `nonmanifold_edges` more than two, `inconsistent_edges` two that run
    the same way; `components` counts pieces that share no corner.

    InputError for an index out of range, and when no triangle is left.
    """
    report: Counter[str] = Counter(faces_total=sum(len(part.t_vertex_idx) for part in scene.primitives))
    report["vertices_total"] = sum(len(part.v_position) for part in scene.primitives)
    for part in scene.primitives:
        _check_indices(part)
    finite = [
        _without(part, ~_finite_faces(part), "faces_dropped_nonfinite", report) for part in scene.primitives
    ]
    finite = [part for part in finite if len(part.t_vertex_idx)]
    if not finite:
        raise InputError("no triangle of the mesh has finite corners; export it again")
    ids, points = welded(_as_rendered(finite))
    parts = []
    for part, corner in zip(finite, _split(ids, finite), strict=True):
        flat = _flat(points, corner[part.t_vertex_idx])
        part = _without(part, flat, "faces_dropped_degenerate", report)
        part = _without(part, _repeated(corner[part.t_vertex_idx]), "faces_dropped_duplicate", report)
        parts.append((part, corner))
    parts = [(part, corner) for part, corner in parts if len(part.t_vertex_idx)]
    if not parts:
        raise InputError("no triangle of the mesh has an area; export it again")
    kept = tuple(_attributes_mended(_compact(part), report) for part, _ in parts)
    report["faces_kept"] = sum(len(part.t_vertex_idx) for part in kept)
    report["vertices_kept"] = sum(len(part.v_position) for part in kept)
    report.update(
        _topology(np.concatenate([corner[part.t_vertex_idx] for part, corner in parts]), len(points))
    )
    return replace(scene, primitives=kept), {name: report[name] for name in COUNTS}


COUNTS = (
    "faces_total", "faces_kept", "faces_dropped_nonfinite", "faces_dropped_degenerate",
    "faces_dropped_duplicate", "vertices_total", "vertices_kept", "normals_repaired",
    "texcoords_repaired", "texcoords_dropped", "colours_repaired", "boundary_edges",
    "nonmanifold_edges", "inconsistent_edges", "components",
)  # fmt: skip


def _check_indices(part: Primitive) -> None:
    idx = part.t_vertex_idx
    if idx.size and (idx.min() < 0 or idx.max() >= len(part.v_position)):
        wrong = idx.min() if idx.min() < 0 else idx.max()
        raise InputError(
            f"a triangle refers to vertex {wrong} of {len(part.v_position)}; export the mesh again"
        )


def _finite_faces(part: Primitive) -> Bool[np.ndarray, " triangles"]:
    # NaN compares as false.
    usable = (np.abs(part.v_position) <= LARGEST_COORDINATE).all(axis=1)
    faces: np.ndarray = usable[part.t_vertex_idx].all(axis=1)
    return faces


def _without(
    part: Primitive, drop: Bool[np.ndarray, " triangles"], name: str, report: Counter[str]
) -> Primitive:
    dropped = int(drop.sum())
    report[name] += dropped
    return replace(part, t_vertex_idx=part.t_vertex_idx[~drop]) if dropped else part


def _as_rendered(parts: Sequence[Primitive]) -> Float[np.ndarray, "vertices 3"]:
    """All positions centred, longest side 2, in float32; what no triangle uses is set to the centre."""
    used = []
    for part in parts:
        mask = np.zeros(len(part.v_position), bool)
        mask[part.t_vertex_idx.reshape(-1)] = True
        used.append(mask)
    mask = np.concatenate(used)
    exact = np.concatenate([part.v_position for part in parts]).astype(np.float64)
    low, high = exact[mask].min(axis=0), exact[mask].max(axis=0)
    longest = (high - low).max()
    if not longest > 0:
        raise InputError("all triangles of the mesh lie in one point; export it again")
    centre = (low + high) / 2
    exact[~mask] = centre
    rendered: np.ndarray = ((exact - centre) * (2 / longest)).astype(np.float32)
    return rendered


def _split(ids: Int64[np.ndarray, " all"], parts: Sequence[Primitive]) -> list[np.ndarray]:
    return np.split(ids, np.cumsum([len(part.v_position) for part in parts])[:-1])


def _flat(points: Points, corners: Triangles) -> Bool[np.ndarray, " triangles"]:
    p0, p1, p2 = (points[corners[:, k]] for k in range(3))
    e0, e1, e2 = p1 - p0, p2 - p1, p0 - p2
    twice_area = np.linalg.norm(np.cross(e0, -e2), axis=1)
    longest = np.maximum.reduce([(edge * edge).sum(axis=1) for edge in (e0, e1, e2)])
    flat: np.ndarray = ~(twice_area > SMALLEST_FLATNESS * longest)
    return flat


def _repeated(corners: Triangles) -> Bool[np.ndarray, " triangles"]:
    """Triangles with the same corners in the same turn as an earlier one."""
    first = corners.argmin(axis=1)
    rows = np.arange(len(corners))
    a, b, c = (corners[rows, (first + k) % 3] for k in range(3))
    order = np.lexsort((c, b, a))
    same = (a[order][1:] == a[order][:-1]) & (b[order][1:] == b[order][:-1]) & (c[order][1:] == c[order][:-1])
    repeated = np.zeros(len(corners), bool)
    repeated[order[1:]] = same
    return repeated


def _compact(part: Primitive) -> Primitive:
    """Without vertices that no triangle uses; the order of the others stays."""
    used = np.zeros(len(part.v_position), bool)
    used[part.t_vertex_idx.reshape(-1)] = True
    if used.all():
        return part
    new_index = np.cumsum(used) - 1
    return replace(
        part,
        v_position=part.v_position[used],
        t_vertex_idx=new_index[part.t_vertex_idx],
        v_normal=None if part.v_normal is None else part.v_normal[used],
        v_texcoord=None if part.v_texcoord is None else part.v_texcoord[used],
        v_color=None if part.v_color is None else part.v_color[used],
    )


def _attributes_mended(part: Primitive, report: Counter[str]) -> Primitive:
    return _colours_mended(_texcoords_mended(_normals_mended(part, report), report), report)


def _normals_mended(part: Primitive, report: Counter[str]) -> Primitive:
    if part.v_normal is None:
        return part
    with np.errstate(all="ignore"):
        length = np.linalg.norm(part.v_normal.astype(np.float64), axis=1)
    bad = ~((length > SMALLEST_NORMAL) & (length < LARGEST_COORDINATE))
    if not bad.any():
        return part
    report["normals_repaired"] += int(bad.sum())
    scale = np.abs(part.v_position).max()
    p0, p1, p2 = (part.v_position[part.t_vertex_idx[:, k]] / scale for k in range(3))
    face = np.cross(p1 - p0, p2 - p0)
    face /= np.maximum(np.linalg.norm(face, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    of_face = np.zeros_like(part.v_normal)
    of_face[part.t_vertex_idx.reshape(-1)] = np.repeat(face, 3, axis=0)
    return replace(part, v_normal=np.where(bad[:, None], of_face, part.v_normal))


def _texcoords_mended(part: Primitive, report: Counter[str]) -> Primitive:
    if part.v_texcoord is None:
        return part
    bad = ~(np.abs(part.v_texcoord) <= LARGEST_TEXCOORD).all(axis=1)
    if bad.all():
        report["texcoords_dropped"] += 1
        return replace(part, v_texcoord=None)
    report["texcoords_repaired"] += int(bad.sum())
    return replace(part, v_texcoord=np.where(bad[:, None], 0.0, part.v_texcoord)) if bad.any() else part


def _colours_mended(part: Primitive, report: Counter[str]) -> Primitive:
    if part.v_color is None:
        return part
    bad = ~np.isfinite(part.v_color).all(axis=1)
    report["colours_repaired"] += int(bad.sum())
    return replace(part, v_color=np.clip(np.where(bad[:, None], 1.0, part.v_color), 0, 1))


def _topology(corners: Triangles, count: int) -> dict[str, int]:
    """Edges by the number and turn of their triangles, and pieces, over positions that coincide."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start, end = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    key = np.minimum(start, end) * count + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    triangles = np.diff(first, append=len(order))
    turn = np.add.reduceat(np.where(start < end, 1, -1)[order], first)
    _, label = connected_components(
        coo_array((np.ones(len(start), bool), (start, end)), shape=(count, count))
    )
    return {
        "boundary_edges": int((triangles == 1).sum()),
        "nonmanifold_edges": int((triangles > 2).sum()),
        "inconsistent_edges": int(((triangles == 2) & (turn != 0)).sum()),
        "components": len(np.unique(label[corners[:, 0]])),
    }
