"""Packing rectangles into the unit square on shelves: one scale for all, a margin around each, no overlap."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

# With more rectangles than texels can separate, the margins may take this share of a rectangle's cell.
MARGIN_SHARE = 0.3
BISECTIONS = 40


def packed(
    sizes: Float[np.ndarray, "charts 2"], margin: float
) -> tuple[Float[np.ndarray, "charts 2"], Bool[np.ndarray, "charts"], float]:
    """Corner nearest to the origin of each rectangle, whether it was turned by 90 degrees, and the scale.

    `sizes` are widths and heights in any unit; a rectangle takes `scale` times its size and keeps at least
    `margin` (a fraction of the square's side) away from its neighbours and half of it from the border. With
    very many rectangles the margin shrinks, so every set of rectangles fits. Rectangles without any extent
    get a place too.
    """
    turned = sizes[:, 1] > sizes[:, 0]
    lying = np.where(turned[:, None], sizes[:, ::-1], sizes)
    margin = min(margin, MARGIN_SHARE / np.sqrt(max(len(sizes), 1)))
    order = np.lexsort((-lying[:, 0], -lying[:, 1]))
    widths, heights = lying[order, 0], lying[order, 1]
    scale = _largest_scale(widths, heights, margin)
    starts = _shelves(widths * scale + margin, heights * scale + margin)
    if starts is None:
        raise AssertionError("the scale was chosen so that the shelves fit")
    placed = np.empty((len(sizes), 2))
    placed[order] = _places(widths * scale + margin, heights * scale + margin, starts) + margin / 2
    return placed, turned, scale


def _largest_scale(
    widths: Float[np.ndarray, "charts"], heights: Float[np.ndarray, "charts"], margin: float
) -> float:
    """By bisection; a scale of 0 always fits, because the margins alone fill a fraction of the square."""
    if not len(widths) or widths.max() <= 0:
        return 0.0
    low, high = 0.0, float((1 - margin) / widths.max())
    if _shelves(widths * high + margin, heights * high + margin) is not None:
        return high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fits = _shelves(widths * middle + margin, heights * middle + margin) is not None
        low, high = (middle, high) if fits else (low, middle)
    return low


def _shelves(
    widths: Float[np.ndarray, "charts"], heights: Float[np.ndarray, "charts"]
) -> Int[np.ndarray, "shelves"] | None:
    """Index of the first rectangle of each shelf, tallest first; None when the shelves rise above 1."""
    ends = np.cumsum(widths)
    starts, first, top = [], 0, 0.0
    while first < len(widths):
        top += heights[first]
        if top > 1:
            return None
        starts.append(first)
        before = ends[first - 1] if first else 0.0
        # At least one per shelf: rounding must not stop the loop.
        first = max(int(np.searchsorted(ends, before + 1 + 1e-12, side="right")), first + 1)
    return np.array(starts, dtype=np.int64)


def _places(
    widths: Float[np.ndarray, "charts"],
    heights: Float[np.ndarray, "charts"],
    starts: Int[np.ndarray, "shelves"],
) -> Float[np.ndarray, "charts 2"]:
    ends = np.cumsum(widths)
    shelf = np.searchsorted(starts, np.arange(len(widths)), side="right") - 1
    left = (ends - widths) - (ends - widths)[starts][shelf]
    floor = np.concatenate([[0.0], np.cumsum(heights[starts])[:-1]])[shelf]
    return np.stack([left, floor], 1)
