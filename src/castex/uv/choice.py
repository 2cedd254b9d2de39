"""Whether a file's own texture coordinates can serve as the atlas, and in one sentence why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from castex.surface import Surface
from castex.uv.raster import signed_areas
from castex.uv.report import TOLERANCE, uv_report

MOST_OVERLAP = 0.01
LEAST_COVERAGE = 0.05
MOST_DEGENERATE = 0.01


@dataclass(frozen=True)
class Layout:
    """The file's texture coordinates moved into [0, 1] by whole tiles, as a vertex buffer of its own.

    A vertex is split where its faces move differently or where a mirrored face meets one that is not: the
    two need tangents of their own.
    """

    v_source_idx: Int[np.ndarray, "vertices"]
    t_vertex_idx: Int[np.ndarray, "triangles 3"]
    v_texcoord: Float[np.ndarray, "vertices 2"]


@dataclass(frozen=True)
class Choice:
    """What is to be done: `layout` is kept, or None and the mesh is to be unwrapped."""

    layout: Layout | None
    reason: str
    """What follows on "because", without a full stop."""
    report: dict[str, float | int] | None
    """`uv_report` of the file's layout; None where it has none that can be measured."""


def choose(surface: Surface, *, keep_uv: bool = True) -> Choice:
    """Keep the layout when each point of [0, 1] belongs to one point of the surface, else say what hinders.

    Several materials are no hindrance by themselves: what matters is that their charts do not overlap.
    """
    total, bare = len(surface.t_vertex_idx), int((~surface.t_has_uv).sum())
    if bare == total:
        return Choice(None, "the file has no texture coordinates", None)
    if bare:
        return Choice(None, f"{bare} of {total} triangles have no texture coordinates", None)
    corners = surface.v_texcoord[surface.t_vertex_idx].astype(np.float64)
    if not np.isfinite(corners).all():
        return Choice(None, "some texture coordinates are NaN or infinite", None)
    tile = np.floor(corners.mean(1))
    moved = corners - tile[:, None]
    crossing = int(((moved < -TOLERANCE) | (moved > 1 + TOLERANCE)).any((1, 2)).sum())
    if crossing:
        given = uv_report(surface.v_texcoord, surface.t_vertex_idx, surface.v_position)
        return Choice(None, f"{crossing} of {total} triangles reach across the border of the picture", given)
    layout = _split(surface, moved, tile)
    report = uv_report(layout.v_texcoord, layout.t_vertex_idx, surface.v_position[layout.v_source_idx])
    hindrance = _hindrance(report, total)
    if hindrance:
        return Choice(None, hindrance, report)
    if not keep_uv:
        return Choice(None, "a new atlas was asked for", report)
    fine = f"cover {report['coverage']:.0%} of the picture and overlap on {report['overlap']:.1%} of that"
    return Choice(layout, f"they {fine}", report)


def _split(
    surface: Surface, moved: Float[np.ndarray, "triangles 3 2"], tile: Float[np.ndarray, "triangles 2"]
) -> Layout:
    mirrored = signed_areas(moved) > 0
    tiles, t_tile = np.unique(tile, axis=0, return_inverse=True)
    kind = t_tile.reshape(-1) * 2 + mirrored
    code = surface.t_vertex_idx * (2 * len(tiles)) + kind[:, None]
    _, first, new = np.unique(code, return_index=True, return_inverse=True)
    return Layout(
        v_source_idx=surface.t_vertex_idx.reshape(-1)[first],
        t_vertex_idx=new.reshape(-1, 3),
        v_texcoord=moved.reshape(-1, 2)[first].clip(0, 1).astype(np.float32),
    )


def _hindrance(report: dict[str, float | int], total: int) -> str:
    """The first thing that speaks against a layout inside [0, 1]; empty when nothing does."""
    if report["overlap"] > MOST_OVERLAP:
        return f"the file's texture coordinates overlap on {report['overlap']:.1%} of the texels they cover"
    if report["coverage"] < LEAST_COVERAGE:
        return f"the file's texture coordinates cover only {report['coverage']:.1%} of the picture"
    if report["degenerate"] > MOST_DEGENERATE * total:
        return f"{report['degenerate']} of {total} triangles have no area in the picture"
    return ""
