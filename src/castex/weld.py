"""Vertices at the very same place, found by sorting the bits of their coordinates."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64


def welded(
    points: Float32[np.ndarray, "vertices 3"],
) -> tuple[Int64[np.ndarray, " vertices"], Float64[np.ndarray, "places 3"]]:
    """For each vertex the number of its place, and the distinct places; NaN is a place like any other."""
    # Adding zero turns -0 into 0, which is another pattern of bits.
    bits = (points + np.float32(0)).view(np.uint32).astype(np.uint64)
    first, second = (bits[:, 0] << np.uint64(32)) | bits[:, 1], bits[:, 2]
    order = np.lexsort((second, first))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
    ids = np.empty(len(order), np.int64)
    ids[order] = np.cumsum(new) - 1
    return ids, points[order[new]].astype(np.float64)
