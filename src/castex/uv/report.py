"""How good a UV layout is, in seven numbers that a person can compare before and after."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from castex.uv.raster import SMALLEST_AREA, Overdrawn, fragments, signed_areas

TOLERANCE = 1e-4
"""How far a texture coordinate may leave [0, 1] and still count as inside."""
WORK_PER_TEXEL = 16
STRICTLY_INSIDE = 1e-3
"""Texels from the nearest edge: neighbours in a chart share their edge, which is no overlap."""


def uv_report(
    v_texcoord: Float[np.ndarray, "vertices 2"],
    t_vertex_idx: Int[np.ndarray, "triangles 3"],
    v_position: Float[np.ndarray, "vertices 3"],
    size: int = 512,
) -> dict[str, float | int]:
    """Measures of a layout, sampled at the centres of `size` x `size` texels; all values are finite.

    coverage    fraction of the texels inside a triangle
    overlap     fraction of those strictly inside two or more; 1.0 for a layout that covers itself so often
                that counting was given up
    outside     fraction of the corners outside [0, 1] or not finite
    flipped     fraction of the texture area in mirrored triangles (seen from outside, v down)
    degenerate  number of triangles with area in space and none in the texture
    stretch_mean, stretch_95  L2 stretch of Sander et al. 2001, normalised by the total areas so that 1 is a
                uniform isometry: mean and 95th percentile over the surface; degenerate triangles left out
    """
    coverage, overlap = _coverage(v_texcoord, t_vertex_idx, size)
    corners = v_texcoord[t_vertex_idx].astype(np.float64)
    with np.errstate(invalid="ignore"):
        outside = ~((corners >= -TOLERANCE) & (corners <= 1 + TOLERANCE)).all(2)
    finite = np.isfinite(corners).all((1, 2))
    area = np.zeros(len(corners))
    area[finite] = signed_areas(np.clip(corners[finite], -1e6, 1e6))
    mean, high, degenerate = _stretch(corners, area, v_position[t_vertex_idx].astype(np.float64))
    total = np.abs(area).sum()
    return {
        "coverage": coverage,
        "overlap": overlap,
        "outside": float(outside.mean()) if outside.size else 0.0,
        "flipped": float(area[area > 0].sum() / total) if total > 0 else 0.0,
        "degenerate": degenerate,
        "stretch_mean": mean,
        "stretch_95": high,
    }


def _coverage(
    v_texcoord: Float[np.ndarray, "vertices 2"], t_vertex_idx: Int[np.ndarray, "triangles 3"], size: int
) -> tuple[float, float]:
    """Coverage and overlap."""
    covered = np.zeros(size * size, dtype=bool)
    layers = np.zeros(size * size, dtype=np.int64)
    # A layout that does not overlap needs one fragment per texel and a few rows per triangle.
    most, overdrawn = WORK_PER_TEXEL * size * size + 8 * len(t_vertex_idx), False
    try:
        for part in fragments(v_texcoord, t_vertex_idx, size, most=most):
            covered[part.texel] = True
            strict = part.texel[part.inside > STRICTLY_INSIDE]
            layers += np.bincount(strict, minlength=size * size)
    except Overdrawn:
        overdrawn = True
    count = int(covered.sum())
    overlap = float((layers > 1).sum()) / count if count else 0.0
    return count / (size * size), 1.0 if overdrawn else overlap


def _stretch(
    corners: Float[np.ndarray, "triangles 3 2"],
    area: Float[np.ndarray, "triangles"],
    points: Float[np.ndarray, "triangles 3 3"],
) -> tuple[float, float, int]:
    """Mean and 95th percentile of the normalised L2 stretch, and how many triangles have none."""
    first, second = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    surface = 0.5 * np.linalg.norm(np.cross(first, second), axis=1)
    longest = np.maximum((first**2).sum(1), (second**2).sum(1))
    solid = np.isfinite(surface) & (surface > 1e-12 * longest) & (surface > 0)
    flat = np.abs(area) <= SMALLEST_AREA * 1e-6
    usable = solid & ~flat
    degenerate = int((solid & flat).sum())
    if not usable.any():
        return 0.0, 0.0, degenerate
    d1, d2 = (corners[usable, k] - corners[usable, 0] for k in (1, 2))
    e1, e2, det = first[usable], second[usable], 2 * area[usable, None]
    along_u = (e1 * d2[:, 1:] - e2 * d1[:, 1:]) / det
    along_v = (e2 * d1[:, :1] - e1 * d2[:, :1]) / det
    weight = surface[usable]
    scale = np.sqrt(np.abs(area[usable]).sum() / weight.sum())
    stretch = scale * np.sqrt(((along_u**2).sum(1) + (along_v**2).sum(1)) / 2)
    order = np.argsort(stretch, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    high = stretch[order[min(int(np.searchsorted(reached, 0.95)), len(order) - 1)]]
    return float((stretch * weight).sum() / weight.sum()), float(high), degenerate
