"""Bodies made of closed rings: lathes, tubes, spheres, hulls; each unrolled into strips, discs and fans.

A body is a list of runs; a run is rings from its beginning to its end, each ring counter-clockwise about the
way it travels. A chart ends where a run does; the edge there is hard when the surface bends by more than
`CREASE` degrees. A ring that shrinks to one point is a pole.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from castex.training.shapes.chart import Chart, Part, grid_triangles
from castex.training.shapes.curves import Curve, Number, Row, Vector

Rings = Float[np.ndarray, "_rings _around 3"]

CREASE = 40.0
# Widest over narrowest ring in one strip: texel density varies by at most the root of it to either side.
SPREAD = 1.7
# A fan that unrolls to more than this part of a full turn is laid out as a whole disc, without a seam.
DISC = 0.62
POINT = 1e-7


def lathe(*profiles: Curve, around: int = 36) -> Part:
    """Profiles of (radius, height) turned about +Y; upwards is the outside, downwards an inner wall.

    The seam lies at the back (-Z).
    """
    angles = 2 * np.pi * np.arange(around) / around - np.pi
    ring = np.stack([np.sin(angles), np.zeros(around), np.cos(angles)], axis=1)
    return loft(*(ring * profile[:, :1, None] + _heights(profile) for profile in profiles))


def _heights(profile: Curve) -> Rings:
    return np.stack([np.zeros(len(profile)), profile[:, 1], np.zeros(len(profile))], axis=1)[:, None]


def sphere(radii: Row, around: int = 24, rings: int = 12) -> Part:
    """An ellipsoid about the origin with half axes along x, y and z."""
    angles = np.radians(np.linspace(-90, 90, rings + 1))
    radius = np.cos(angles)
    radius[[0, -1]] = 0
    turn = 2 * np.pi * np.arange(around) / around - np.pi
    ring = np.stack([np.sin(turn), np.zeros(around), np.cos(turn)], axis=1)
    grid = ring * radius[:, None, None] + np.stack([0 * angles, np.sin(angles), 0 * angles], axis=1)[:, None]
    return loft(grid * np.asarray(radii))


def tube(
    path: Float[np.ndarray, "_count 3"],
    radius: Number | Float[np.ndarray, " count"],
    *,
    around: int = 14,
    flatten: Number = 1.0,
    side: Row = (0.0, 0.0, 1.0),
    ends: str = "flat",
) -> Part:
    """A round rod along a path, closed at both ends (`flat` or `round`).

    `flatten` scales the cross-section along `side`, a direction that the path never takes.
    """
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path))
    direction = np.gradient(path, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    across = np.cross(np.asarray(side, dtype=np.float64), direction)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    along = np.cross(direction, across) * flatten
    turn = 2 * np.pi * np.arange(around) / around
    ring = across[:, None] * np.cos(turn)[:, None] + along[:, None] * np.sin(turn)[:, None]
    body = path[:, None] + ring * radii[:, None, None]
    first = _cap(body[0], path[0], -direction[0] * radii[0], ends)
    last = _cap(body[-1], path[-1], direction[-1] * radii[-1], ends)
    return loft(first, body, last[::-1])


def _cap(ring: Float[np.ndarray, "around 3"], centre: Vector, bulge: Vector, ends: str) -> Rings:
    """Rings from the pole of an end to its edge."""
    if ends == "flat":
        return np.stack([np.broadcast_to(centre, ring.shape), ring])
    angles = np.radians([0.0, 22.5, 45.0, 67.5, 90.0])[:, None, None]
    cap = np.asarray(centre + np.sin(angles) * (ring - centre) + np.cos(angles) * bulge)
    cap[0], cap[-1] = centre + bulge, ring
    return cap


def loft(*runs: Rings) -> Part:
    """Charts of a closed body whose rings are given run by run."""
    normals = _normals(list(runs))
    charts: list[Chart] = []
    for rings, normal in zip(runs, normals, strict=True):
        for first, last in _pieces(rings):
            charts.append(_unrolled(rings[first : last + 1], normal[first : last + 1]))
    return tuple(charts)


def _unit(vectors: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _is_point(ring: Float[np.ndarray, "around 3"]) -> bool:
    return bool(np.ptp(ring, axis=0).max() < POINT)


def _normals(runs: list[Rings]) -> list[Rings]:
    """Unit normals of each run's grid, equal on both sides of a join that is no crease."""
    steps = [_unit(np.diff(run, axis=0)) for run in runs]
    normals = []
    for k, (run, step) in enumerate(zip(runs, steps, strict=True)):
        before = steps[k - 1][-1] if k > 0 else step[0]
        after = steps[k + 1][0] if k + 1 < len(runs) else step[-1]
        along = np.concatenate([step[:1], step[1:] + step[:-1], step[-1:]])
        if _angle(before, step[0]) < CREASE:
            along[0] = before + step[0]
        if _angle(step[-1], after) < CREASE:
            along[-1] = step[-1] + after
        around = np.roll(run, -1, axis=1) - np.roll(run, 1, axis=1)
        normal = _unit(np.cross(around, along))
        for pole, neighbour in ((0, 1), (-1, -2)):
            if _is_point(run[pole]):
                normal[pole] = _unit(normal[neighbour].mean(0))
        normals.append(normal)
    return normals


def _angle(a: Curve, b: Curve) -> float:
    """The largest angle in degrees between rows of unit vectors."""
    return float(np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1))).max())


def _perimeters(rings: Rings) -> Float[np.ndarray, "rings"]:
    return np.asarray(np.linalg.norm(np.roll(rings, -1, axis=1) - rings, axis=2).sum(1))


def _lengths(rings: Rings) -> Float[np.ndarray, "rings around"]:
    """Arc length along each column, from the first ring."""
    steps = np.linalg.norm(np.diff(rings, axis=0), axis=2)
    return np.concatenate([np.zeros((1, rings.shape[1])), np.cumsum(steps, axis=0)])


def _pieces(rings: Rings) -> list[tuple[int, int]]:
    """First and last ring of each chart of a run: fans around poles, strips between."""
    count = len(rings) - 1
    start, end = 0, count
    poles = _is_point(rings[0]), _is_point(rings[-1])
    limit = count // 2 if all(poles) else count
    pieces = []
    if poles[0]:
        start = _fan_end(rings[: limit + 1])
        pieces.append((0, start))
    if poles[1] and start < count:
        end = count - _fan_end(rings[start:][::-1])
        pieces.append((end, count))
    return [*pieces, *_strips(_perimeters(rings), start, end)]


def _fan_end(rings: Rings) -> int:
    """How many rings around a pole unroll together without uneven stretch."""
    ratio = _lengths(rings).mean(1)[1:] / _perimeters(rings)[1:]
    spread = np.maximum.accumulate(ratio) / np.minimum.accumulate(ratio)
    return int(np.count_nonzero(np.cumprod(spread <= SPREAD)))


def _strips(perimeter: Float[np.ndarray, "rings"], first: int, last: int) -> list[tuple[int, int]]:
    if first >= last:
        return []

    def spread(a: int, b: int) -> float:
        """Widest over narrowest ring."""
        return float(perimeter[a : b + 1].max() / perimeter[a : b + 1].min())

    if spread(first, last) <= SPREAD or last - first == 1:
        return [(first, last)]
    cut = min(range(first + 1, last), key=lambda k: max(spread(first, k), spread(k, last)))
    return [*_strips(perimeter, first, cut), *_strips(perimeter, cut, last)]


def _unrolled(rings: Rings, normal: Rings) -> Chart:
    if _is_point(rings[0]):
        return _fan(rings, normal, ends=False)
    if _is_point(rings[-1]):
        return _fan(rings[::-1], normal[::-1], ends=True)
    return _strip(rings, normal)


def _strip(rings: Rings, normal: Rings) -> Chart:
    """A rectangle: mean length around to the right, mean length along upwards."""
    count, around, _ = rings.shape
    closed = np.concatenate([rings, rings[:, :1]], axis=1)
    right = np.linalg.norm(np.diff(closed, axis=1), axis=2).mean(0)
    u = np.concatenate([[0.0], np.cumsum(right)])
    plane = np.stack(np.broadcast_arrays(u[None], _lengths(rings).mean(1)[:, None]), axis=-1)
    shaded = np.concatenate([normal, normal[:, :1]], axis=1)
    triangles = grid_triangles(count, around + 1)
    return Chart(closed.reshape(-1, 3), shaded.reshape(-1, 3), plane.reshape(-1, 2), triangles)


def _fan(rings: Rings, normal: Rings, *, ends: bool) -> Chart:
    """Around the pole at the first ring: a disc, or for a slender cone the sector that it unrolls to.

    `ends` says that the body ends at the pole, so that the rings come in reverse.
    """
    count, around, _ = rings.shape
    length = _lengths(rings)
    angle = float((_perimeters(rings)[1:] / length.mean(1)[1:]).mean())
    if angle > DISC * 2 * np.pi:
        heading = _directions(rings[-1] - rings[0], normal[0, 0])
    else:
        turn = (angle if ends else -angle) * np.arange(around + 1) / around
        heading = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    wide = np.concatenate([rings, rings[:, :1]], axis=1)[1:]
    shaded = np.concatenate([normal, normal[:, :1]], axis=1)[1:]
    reach = np.concatenate([length, length[:, :1]], axis=1)[1:, :, None]
    column = np.arange(1, around + 1)
    inner = np.stack([0 * column, column + 1, column], axis=1)
    triangles = np.concatenate([inner, 1 + grid_triangles(count - 1, around + 1)])
    return Chart(
        np.concatenate([rings[0, :1], wide.reshape(-1, 3)]),
        np.concatenate([normal[0, :1], shaded.reshape(-1, 3)]),
        np.concatenate([np.zeros((1, 2)), (heading * reach).reshape(-1, 2)]),
        np.ascontiguousarray(triangles[:, ::-1]) if ends else triangles,
    )


def _directions(
    outward: Float[np.ndarray, "around 3"], axis: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "closed 2"]:
    """The true directions of columns that leave a pole, so that a flat cap of any outline keeps its shape."""
    right = _unit(np.cross(np.eye(3)[np.abs(axis).argmin()], axis))
    flat = np.stack([outward @ right, outward @ np.cross(axis, right)], axis=1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return np.concatenate([flat, flat[:1]])
