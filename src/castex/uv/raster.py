"""Which texels the triangles of a UV layout cover: sampled at texel centres, in numpy, in bounded work.

A texel (row, column) has its centre at v = (row + 0.5) / size, u = (column + 0.5) / size. A triangle is first
cut into one span per texel row and the spans into fragments, so the work follows the covered area and the
height of the triangles, never the area of their bounding boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# Rows or fragments that are handled at once: bounds the memory at some 200 MB.
CHUNK = 1 << 20
SMALLEST_AREA = 1e-12
"""In texels squared: what is smaller covers nothing."""


class Overdrawn(Exception):
    """A layout covers itself so often that rasterising it was given up."""


@dataclass(frozen=True)
class Fragments:
    """Texels inside triangles; one entry per pair, ordered by triangle."""

    triangle: Int[np.ndarray, "fragments"]
    texel: Int[np.ndarray, "fragments"]
    """row * size + column."""
    barycentric: Float[np.ndarray, "fragments 3"]
    inside: Float[np.ndarray, "fragments"]
    """Distance of the texel's centre to the triangle's nearest edge line, in texels; 0 is on the edge."""


def signed_areas(corners: Float[np.ndarray, "triangles 3 2"]) -> Float[np.ndarray, "triangles"]:
    """Signed area of each triangle; positive when its corners turn from +x to +y."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(0.5 * (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]))


def fragments(
    v_texcoord: Float[np.ndarray, "vertices 2"],
    t_vertex_idx: Int[np.ndarray, "triangles 3"],
    size: int,
    *,
    most: int | None = None,
) -> Iterator[Fragments]:
    """Fragments of all triangles in the order of the triangles, in chunks; edges count as inside.

    What lies outside [0, 1] is cut off. Triangles without area or with values that are not finite have no
    fragments. Raises Overdrawn once more than `most` rows and columns have been visited, so that a layout
    which covers itself a million times costs no more than a good one.
    """
    corners = v_texcoord[t_vertex_idx].astype(np.float64) * size
    drawable = np.flatnonzero(
        np.isfinite(corners).all((1, 2)) & (np.abs(_finite_areas(corners)) > SMALLEST_AREA)
    )
    low = np.ceil(corners[drawable, :, 1].min(1).clip(0, size) - 0.5).astype(np.int64)
    high = np.floor(corners[drawable, :, 1].max(1).clip(0, size) - 0.5).astype(np.int64)
    high = np.minimum(high, size - 1)
    made = 0
    for owner, row in _expanded(low, high):
        made += len(row)
        triangle = drawable[owner]
        first, last = _span(corners[triangle], row + 0.5, size)
        for span, column in _expanded(first, last):
            made += len(column)
            if most is not None and made > most:
                raise Overdrawn
            yield _inside(corners, triangle[span], row[span], column, size)


def _finite_areas(corners: Float[np.ndarray, "triangles 3 2"]) -> Float[np.ndarray, "triangles"]:
    with np.errstate(invalid="ignore", over="ignore"):
        return signed_areas(corners)


def _expanded(
    low: Int[np.ndarray, "ranges"], high: Int[np.ndarray, "ranges"]
) -> Iterator[tuple[Int[np.ndarray, "entries"], Int[np.ndarray, "entries"]]]:
    """All (range, value) pairs with low <= value <= high, in chunks and in order."""
    counts = np.maximum(high - low + 1, 0)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, CHUNK):
        stop = min(start + CHUNK, total)
        # Only the ranges that this chunk touches are repeated: chunking stays linear.
        begin, end = np.searchsorted(ends, [start, stop - 1], side="right")
        touched = np.arange(begin, end + 1)
        opening = ends[touched] - counts[touched]
        taken = np.minimum(ends[touched], stop) - np.maximum(opening, start)
        owner = np.repeat(touched, taken)
        yield owner, np.arange(start, stop) - np.repeat(opening, taken) + low[owner]


def _span(
    corners: Float[np.ndarray, "rows 3 2"], y: Float[np.ndarray, "rows"], size: int
) -> tuple[Int[np.ndarray, "rows"], Int[np.ndarray, "rows"]]:
    """First and last column whose centre may lie inside, one texel too wide at most."""
    left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for k in range(3):
        a, b = corners[:, k], corners[:, (k + 1) % 3]
        rise = b[:, 1] - a[:, 1]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            share = np.clip((y - a[:, 1]) / rise, 0, 1)
            x = a[:, 0] + share * (b[:, 0] - a[:, 0])
        crosses = (np.minimum(a[:, 1], b[:, 1]) <= y) & (y <= np.maximum(a[:, 1], b[:, 1]))
        flat = crosses & (rise == 0)
        ends = np.where(flat, a[:, 0], x), np.where(flat, b[:, 0], x)
        left = np.where(crosses, np.minimum(left, np.minimum(*ends)), left)
        right = np.where(crosses, np.maximum(right, np.maximum(*ends)), right)
    slack = 1e-6
    first = np.ceil(left.clip(0, size) - 0.5 - slack)
    last = np.floor(right.clip(0, size) - 0.5 + slack)
    return first.clip(0, size).astype(np.int64), last.clip(-1, size - 1).astype(np.int64)


def _inside(
    corners: Float[np.ndarray, "triangles 3 2"],
    triangle: Int[np.ndarray, "fragments"],
    row: Int[np.ndarray, "fragments"],
    column: Int[np.ndarray, "fragments"],
    size: int,
) -> Fragments:
    """The fragments among the candidates, with barycentrics from three edge functions."""
    points = np.stack([column + 0.5, row + 0.5], 1)
    edges, lengths = np.empty((len(points), 3)), np.empty((len(points), 3))
    for k in range(3):
        a, b = corners[triangle, (k + 1) % 3], corners[triangle, (k + 2) % 3]
        edges[:, k], lengths[:, k] = _edge(a, b, points)
    area = edges.sum(1)
    area = np.where(area == 0, 1.0, area)
    distance = (edges * np.sign(area)[:, None] / np.maximum(lengths, 1e-30)).min(1)
    # A rounding error's width beyond the edge still counts: no hole between two triangles of a chart.
    kept = distance >= -1e-9
    barycentric = np.clip(edges[kept] / area[kept, None], 0, 1)
    barycentric /= barycentric.sum(1, keepdims=True)
    return Fragments(triangle[kept], (row * size + column)[kept], barycentric, distance[kept])


def _edge(
    a: Float[np.ndarray, "fragments 2"],
    b: Float[np.ndarray, "fragments 2"],
    points: Float[np.ndarray, "fragments 2"],
) -> tuple[Float[np.ndarray, "fragments"], Float[np.ndarray, "fragments"]]:
    """Twice the signed area of (a, b, point), and the length of the edge."""
    along, towards = b - a, points - a
    return along[:, 0] * towards[:, 1] - along[:, 1] * towards[:, 0], np.hypot(along[:, 0], along[:, 1])
