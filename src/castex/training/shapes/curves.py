"""Plane and space curves that profiles and tubes are drawn with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Curve = Float[np.ndarray, "_count _dimension"]
Vector = Float[np.ndarray, "_dimension"]
Number = float | int
Row = Sequence[Number] | Vector


def line(*points: Row) -> Curve:
    """A polyline as it is given."""
    return np.array(points, dtype=np.float64)


def facets(*points: Row) -> list[Curve]:
    """The pieces of a polyline, one curve each: as a profile, its corners are hard."""
    return [line(a, b) for a, b in itertools.pairwise(points)]


def smooth(*points: Row, steps: int = 6) -> Curve:
    """A Catmull-Rom curve through the points (centripetal: no loops), `steps` pieces between two."""
    given = np.array(points, dtype=np.float64)
    ends = np.stack([2 * given[0] - given[1], 2 * given[-1] - given[-2]])
    knots = np.concatenate([ends[:1], given, ends[1:]])
    times = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1) ** 0.5)])
    pieces = [given[:1]]
    for k in range(1, len(knots) - 2):
        at = np.linspace(times[k], times[k + 1], steps + 1)[1:, None]
        pieces.append(_between(knots[k - 1 : k + 3], times[k - 1 : k + 3], at))
    curve = np.concatenate(pieces)
    curve[steps::steps] = given[1:]
    return curve


def _between(
    p: Float[np.ndarray, "4 dimension"], t: Float[np.ndarray, "4"], at: Float[np.ndarray, "steps 1"]
) -> Curve:
    """The piece between the two inner ones of four knots (the pyramid of Barry and Goldman)."""

    def mixed(a: Curve, b: Curve, low: int, high: int) -> Curve:
        """From `a` at the time of knot `low` to `b` at that of knot `high`."""
        share = (at - t[low]) / (t[high] - t[low])
        return np.asarray((1 - share) * a + share * b)

    rows = [p[k : k + 1] for k in range(4)]
    first = [mixed(rows[k], rows[k + 1], k, k + 1) for k in range(3)]
    second = [mixed(first[k], first[k + 1], k, k + 2) for k in range(2)]
    return mixed(second[0], second[1], 1, 2)


def arc(centre: Row, radii: Row, start: Number, end: Number, steps: int = 8) -> Curve:
    """Part of an upright ellipse, angles in degrees counter-clockwise from +x."""
    angles = np.radians(np.linspace(start, end, steps + 1))
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(np.asarray(centre) + around * np.asarray(radii))


def joined(*curves: Curve) -> Curve:
    """Curves one after the other; a point that repeats its predecessor is left out."""
    points = np.concatenate(curves)
    keep = np.ones(len(points), dtype=bool)
    keep[1:] = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-9
    return points[keep]


def offset(profile: Float[np.ndarray, "_count 2"], distance: float) -> Float[np.ndarray, "_count 2"]:
    """The profile moved to its left by `distance`, which for one that runs upwards is inwards."""
    direction = np.gradient(profile, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return profile + distance * np.stack([-direction[:, 1], direction[:, 0]], axis=1)
