"""Islands into one square: rectangles on a skyline, same scale for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "_count 2"]

# Free space around every island as a part of the atlas: two texels of 256.
GAP = 2 / 256
# Candidate widths of the strip that is filled, relative to the side of a square of the same area.
WIDTHS = np.linspace(1.0, 1.6, 61)


def packed(planes: Sequence[Plane]) -> Plane:
    """Texture coordinates in [0, 1], origin at the top left, of islands given in a common unit (y up).

    Islands are only moved, turned by a quarter and scaled by one common factor, so density stays even and
    none is mirrored. The rows follow the order of `planes`.
    """
    upright = [_lying(np.asarray(plane, dtype=np.float64)) for plane in planes]
    sizes = np.round([plane.max(0) for plane in upright], 6)
    widest = sizes[:, 0].max()
    root = np.sqrt(sizes.prod(1).sum())
    best: tuple[float, Plane] | None = None
    for width in np.unique(np.maximum(root * WIDTHS, widest * (1 + 2 * GAP))):
        corners, side = _skyline(sizes, width, gap=GAP * width)
        if best is None or side < best[0] - 1e-9:
            best = side, corners
    assert best is not None
    side, corners = best
    placed = [plane + corner for plane, corner in zip(upright, corners, strict=True)]
    texcoord = np.concatenate(placed) / side
    return np.stack([texcoord[:, 0], 1 - texcoord[:, 1]], axis=1)


def _lying(plane: Plane) -> Plane:
    """The island with its lower left corner at the origin, turned by a quarter if it is taller than wide."""
    plane = plane - plane.min(0)
    width, height = plane.max(0)
    if height > width * (1 + 1e-6):
        plane = np.stack([height - plane[:, 1], plane[:, 0]], axis=1)
    return plane


def _skyline(sizes: Plane, width: float, gap: float) -> tuple[Plane, float]:
    """Lower left corners of rectangles stacked as low as they go, and the side of the square they need."""
    corners = np.zeros_like(sizes)
    # The skyline: (x where a level starts, its height), the last entry closing it.
    line = [(0.0, 0.0), (width, 0.0)]
    for k in sorted(range(len(sizes)), key=lambda k: (-sizes[k, 1], -sizes[k, 0], k)):
        need = sizes[k] + gap
        x, y = min(_resting_places(line, need[0], width), key=lambda place: (round(place[1], 6), place[0]))
        corners[k] = x + gap / 2, y + gap / 2
        line = _raised(line, x, x + need[0], y + need[1])
    return corners, max(width, max(height for _, height in line))


def _resting_places(line: list[tuple[float, float]], need: float, width: float) -> list[tuple[float, float]]:
    """Left edge and height of a rectangle `need` wide that starts where a level of the skyline does."""
    places = []
    for k, (start, _) in enumerate(line[:-1]):
        end, height, j = start + need, 0.0, k
        if end > width + 1e-9:
            break
        while j < len(line) - 1 and line[j][0] < end - 1e-9:
            height = max(height, line[j][1])
            j += 1
        places.append((start, height))
    return places


def _raised(
    line: list[tuple[float, float]], start: float, end: float, height: float
) -> list[tuple[float, float]]:
    """The skyline after [start, end) was filled up to `height`."""
    under = [level for x, level in line[:-1] if x <= end + 1e-9][-1]
    kept = [(x, level) for x, level in line[:-1] if x < start - 1e-9]
    after = [(x, level) for x, level in line[:-1] if x > end + 1e-9]
    edge = [(end, under)] if end < line[-1][0] - 1e-9 else []
    return [*kept, (start, height), *edge, *after, line[-1]]
