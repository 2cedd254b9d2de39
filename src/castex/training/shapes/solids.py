"""Bodies with corners: boxes with rounded edges, and prisms over a drawn outline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from castex.training.shapes.chart import Chart, Part, grid_triangles, moved, turned
from castex.training.shapes.curves import Curve, Number, Vector

# A prism's side is smooth where its outline bends by less than this, in degrees.
CREASE = 35.0


def box(
    size: tuple[Number, Number, Number],
    at: tuple[Number, Number, Number] = (0.0, 0.0, 0.0),
    rounding: Number = 0.03,
) -> Part:
    """A box with rounded edges: `size` along x, y, z, its centre `at`.

    Its chart is the strip of the four walls, seam at the back left edge, and two lids. With `rounding` 0
    the edges are sharp and few triangles are needed.
    """
    half = np.asarray(size, dtype=np.float64) / 2
    if rounding == 0:
        return moved(_sharp(half), *at)
    round_by = min(rounding, 0.999 * float(half.min()))
    core = half - round_by
    arcs = core + round_by * np.pi / 4
    walls = _walls(half, core)
    grid = np.stack([np.insert(walls[:, :2], 1, y, axis=1) for y in _lines(half[1], core[1])])
    plane = np.stack(np.broadcast_arrays(walls[None, :, 2], _lines(arcs[1], core[1])[:, None]), axis=-1)
    charts = [_rounded_grid(grid, plane, core, round_by)]
    right, up = _lines(arcs[0], core[0]), _lines(arcs[2], core[2])
    for sign in (-1.0, 1.0):
        xs, zs = _lines(half[0], core[0]), -sign * _lines(half[2], core[2])
        lid = np.stack(np.broadcast_arrays(xs[None], sign * half[1], zs[:, None]), axis=-1)
        lid_plane = np.stack(np.broadcast_arrays(right[None], up[:, None]), axis=-1)
        charts.append(_rounded_grid(lid, lid_plane, core, round_by))
    return moved(tuple(charts), *at)


def _sharp(half: Float[np.ndarray, "3"]) -> Part:
    ring = np.array([[-1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, -1.0, -1.0]]) * half
    charts = [_band(ring, ring * [1.0, -1.0, 1.0])]
    for sign in (-1.0, 1.0):
        plane = np.array([[-half[0], -half[2]], [half[0], -half[2]], [-half[0], half[2]], [half[0], half[2]]])
        corner = np.stack([plane[:, 0], np.full(4, sign * half[1]), -sign * plane[:, 1]], axis=1)
        charts.append(Chart(corner, np.tile([0.0, sign, 0.0], (4, 1)), plane, grid_triangles(2, 2)))
    return tuple(charts)


def _lines(half: float, core: float) -> Float[np.ndarray, "4"]:
    return np.array([-half, -core, core, half])


def _walls(half: Vector, core: Vector) -> Float[np.ndarray, "13 3"]:
    """(x, z, distance along the wall) around the box: left, front, right, back."""
    corner = half - core
    rows: list[tuple[float, float, float]] = []
    at = 0.0
    legs = ((2, 1.0), (0, 1.0), (2, -1.0), (0, -1.0))
    x, z = -half[0], -half[2]
    for axis, sign in legs:
        arc = corner[axis] * np.pi / 4
        for step, run in zip((0.0, corner[axis], 2 * core[axis]), (0.0, arc, 2 * core[axis]), strict=True):
            x, z = (x + sign * step, z) if axis == 0 else (x, z + sign * step)
            at += run
            rows.append((x, z, at))
        x, z = (x + sign * corner[axis], z) if axis == 0 else (x, z + sign * corner[axis])
        at += arc
    return np.array([*rows, (-half[0], -half[2], at)])


def _rounded_grid(
    grid: Float[np.ndarray, "rows columns 3"],
    plane: Float[np.ndarray, "rows columns 2"],
    core: Float[np.ndarray, "3"],
    radius: float,
) -> Chart:
    """Points on a sharp box drawn to the rounded one around `core`."""
    inner = np.clip(np.round(grid, 9), -np.round(core, 9), np.round(core, 9))
    out = np.round(grid, 9) - inner
    normal = out / np.linalg.norm(out, axis=-1, keepdims=True)
    rows, columns, _ = grid.shape
    triangles = grid_triangles(rows, columns)
    position = inner + radius * normal
    return Chart(position.reshape(-1, 3), normal.reshape(-1, 3), plane.reshape(-1, 2), triangles)


def prism(outline: Curve, depth: Number, axis: str = "z", bevel: Number = 0.0) -> Part:
    """An outline (x, y), counter-clockwise, given the thickness `depth` about z = 0.

    With `axis="x"` the outline is a side view: its x runs along +z (forward), the thickness along x.
    `bevel` cuts the edges of both lids by that much, at 45 degrees.
    """
    outline = np.asarray(outline, dtype=np.float64)
    lid = _lid(_inset(outline, bevel), depth / 2)
    charts = [lid, _back(lid), _edge(outline, outline, -depth / 2 + bevel, depth / 2 - bevel)]
    if bevel > 0:
        charts.append(_edge(outline, lid.v_plane, depth / 2 - bevel, depth / 2))
        charts.append(_edge(lid.v_plane, outline, -depth / 2, -depth / 2 + bevel))
    part: Part = tuple(charts)
    return turned(part, "y", -90.0) if axis == "x" else part


def _inset(outline: Curve, distance: float) -> Curve:
    """The outline with every side moved inwards."""
    ahead = np.roll(outline, -1, axis=0) - outline
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    inward = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    mean = inward + np.roll(inward, 1, axis=0)
    return np.asarray(outline + 2 * distance * mean / (mean * mean).sum(1, keepdims=True))


def _lid(outline: Curve, z: float) -> Chart:
    count = len(outline)
    position = np.concatenate([outline, np.full((count, 1), z)], axis=1)
    normal = np.tile([0.0, 0.0, 1.0], (count, 1))
    return Chart(position, normal, outline.copy(), _ears(outline))


def _back(lid: Chart) -> Chart:
    """The same lid on the other side."""
    flip = np.array([1.0, 1.0, -1.0])
    triangles = np.ascontiguousarray(lid.t_vertex_idx[:, ::-1])
    return Chart(lid.v_position * flip, lid.v_normal * flip, lid.v_plane * [-1.0, 1.0], triangles)


def _edge(below: Curve, above: Curve, bottom: float, top: float) -> Chart:
    """The strip between two outlines; shading is smooth where it bends by less than `CREASE`."""
    # Seen from outside, with +z up, a counter-clockwise outline runs to the right.
    low, high = (
        np.concatenate([outline, np.full((len(outline), 1), z)], axis=1)
        for outline, z in ((below, bottom), (above, top))
    )
    band = _band(low, high)
    flat = band.v_normal[::4]
    shade = band.v_normal.reshape(-1, 4, 3).copy()
    for k in range(len(below)):
        if flat[k - 1] @ flat[k] > np.cos(np.radians(CREASE)):
            mean = flat[k - 1] + flat[k]
            shade[k, [0, 3]] = shade[k - 1, [1, 2]] = mean / np.linalg.norm(mean)
    return replace(band, v_normal=shade.reshape(-1, 3))


def sheet(grid: Float[np.ndarray, "rows columns 3"], thickness: float) -> Part:
    """A curved plate over a grid seen from +z (rows up, columns right), unrolled onto x and y."""
    right, up = np.gradient(grid, axis=1), np.gradient(grid, axis=0)
    normal = np.cross(right, up)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    rows, columns, _ = grid.shape
    triangles = grid_triangles(rows, columns)
    front = Chart(
        (grid + normal * thickness / 2).reshape(-1, 3),
        normal.reshape(-1, 3),
        grid[..., :2].reshape(-1, 2).copy(),
        triangles,
    )
    behind = Chart(
        (grid - normal * thickness / 2).reshape(-1, 3),
        -front.v_normal,
        front.v_plane * [-1.0, 1.0],
        np.ascontiguousarray(triangles[:, ::-1]),
    )
    index = np.arange(rows * columns).reshape(rows, columns)
    loop = np.concatenate([index[0], index[1:, -1], index[-1, -2::-1], index[-2:0:-1, 0]])
    return front, behind, _band(behind.v_position[loop], front.v_position[loop])


def _band(low: Float[np.ndarray, "_count 3"], high: Float[np.ndarray, "_count 3"]) -> Chart:
    """The strip between two loops that run to the right, flat-shaded."""
    ahead = np.roll(low, -1, axis=0), np.roll(high, -1, axis=0)
    corners = np.stack([low, ahead[0], ahead[1], high], axis=1)
    normal = np.cross(ahead[0] - low, high - low)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    run = np.linalg.norm(ahead[0] - low, axis=1)
    end = np.cumsum(run)
    start = end - run
    width = float(np.linalg.norm(high - low, axis=1).mean())
    u = np.stack([start, end, end, start], axis=1)
    v = np.broadcast_to([0.0, 0.0, width, width], u.shape)
    first = 4 * np.arange(len(low))[:, None]
    return Chart(
        corners.reshape(-1, 3),
        np.repeat(normal, 4, axis=0),
        np.stack([u, v], axis=-1).reshape(-1, 2),
        np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])]),
    )


def _ears(outline: Curve) -> Int[np.ndarray, "triangles 3"]:
    """Triangles of a simple polygon by cutting the fattest ear first."""
    left = list(range(len(outline)))
    triangles = []
    while len(left) > 3:
        best = max(range(len(left)), key=lambda k: _ear(outline, left, k))
        triangles.append([left[best - 1], left[best], left[(best + 1) % len(left)]])
        del left[best]
    return np.array([*triangles, left])


def _cross(a: Vector, b: Vector) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _ear(outline: Curve, left: list[int], k: int) -> float:
    """How fat the triangle at corner k is (sine-like); -1 where it may not be cut."""
    ia, ib, ic = left[k - 1], left[k], left[(k + 1) % len(left)]
    a, b, c = outline[ia], outline[ib], outline[ic]
    area = _cross(b - a, c - b)
    if area <= 1e-12:
        return -1.0
    for other in left:
        if other in (ia, ib, ic):
            continue
        p = outline[other]
        if min(_cross(b - a, p - a), _cross(c - b, p - b), _cross(a - c, p - c)) >= -1e-12:
            return -1.0
    longest = max(np.linalg.norm(b - a), np.linalg.norm(c - b), np.linalg.norm(a - c))
    return float(area / longest**2)
