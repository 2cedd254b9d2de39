"""Charts, the pieces that objects are made of: surface with its unrolled plane, moved, merged, packed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from castex.scene import Attribution, Material, Primitive, Scene
from castex.training.shapes.curves import Number
from castex.training.shapes.packing import packed

Points = Float[np.ndarray, "vertices 3"]

AUTHOR = "CasTex, reproduced"
LICENCE = "CC0-1.0"
CLAY = Material(name="clay", albedo=(0.8, 0.8, 0.8), roughness=0.6, metallic=0.0)
# Coordinates are rounded to this many decimals: neighbours weld exactly, and files are the same bytes even
# where a machine's sine differs in its last bit.
DECIMALS = 5
# Strips longer than this, relative to the side of a square as large as all charts, are cut.
LONGEST = 1.05


@dataclass(frozen=True)
class Chart:
    """One island of the atlas: counter-clockwise seen from outside, unit normals.

    `v_plane` is the surface unrolled, in units of the object: x right and y up, seen from outside.
    """

    v_position: Points
    v_normal: Points
    v_plane: Float[np.ndarray, "vertices 2"]
    t_vertex_idx: Int[np.ndarray, "triangles 3"]


Part = tuple[Chart, ...]
"""A closed body, or several."""


def grid_triangles(rows: int, columns: int) -> Int[np.ndarray, "triangles 3"]:
    """Two triangles per cell of a grid whose rows go up and whose columns go right."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (row * columns + column).ravel()
    b, c, d = a + 1, a + columns + 1, a + columns
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def moved(part: Part, x: Number = 0.0, y: Number = 0.0, z: Number = 0.0) -> Part:
    """The part, shifted."""
    offset = np.array([x, y, z])
    return tuple(replace(chart, v_position=chart.v_position + offset) for chart in part)


def turned(part: Part, axis: str, degrees: Number) -> Part:
    """The part, turned about a coordinate axis through the origin, counter-clockwise seen from its tip."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return tuple(
        replace(chart, v_position=chart.v_position @ matrix.T, v_normal=chart.v_normal @ matrix.T)
        for chart in part
    )


def mirrored(part: Part) -> Part:
    """The part reflected in the plane x = 0; its winding and its chart stay those of an outside."""
    sign = np.array([-1.0, 1.0, 1.0])
    return tuple(
        Chart(
            chart.v_position * sign,
            chart.v_normal * sign,
            chart.v_plane * sign[:2],
            np.ascontiguousarray(chart.t_vertex_idx[:, ::-1]),
        )
        for chart in part
    )


def merged(*parts: Part) -> Part:
    """Several parts as one."""
    return tuple(chart for part in parts for chart in part)


def scene(name: str, part: Part) -> Scene:
    """The part as a mesh file: normalised, its charts packed into one atlas (v down, top-left origin)."""
    area = sum(float(np.ptp(chart.v_plane, axis=0).prod()) for chart in part)
    longest = LONGEST * np.sqrt(area)
    charts = [_welded(piece) for chart in part for piece in _cut(chart, longest)]
    positions = np.concatenate([chart.v_position for chart in charts])
    low, high = positions.min(0), positions.max(0)
    positions = (positions - (low + high) / 2) * (2 / (high - low).max())
    starts = np.cumsum([0, *(len(chart.v_position) for chart in charts)])
    triangles = np.concatenate([chart.t_vertex_idx + k for chart, k in zip(charts, starts, strict=False)])
    primitive = Primitive(
        v_position=_rounded(positions),
        t_vertex_idx=triangles.astype(np.int64),
        v_normal=_rounded(np.concatenate([chart.v_normal for chart in charts])),
        v_texcoord=_rounded(packed([chart.v_plane for chart in charts])),
    )
    return Scene((primitive,), (CLAY,), Attribution(title=name, author=AUTHOR, licence=LICENCE))


def _cut(chart: Chart, longest: float) -> Part:
    """A strip that would force a wider atlas, in three: its middle half (the front) and both ends.

    It is cut along columns of vertices; a chart that is no long strip stays whole.
    """
    x = chart.v_plane[:, 0] - chart.v_plane[:, 0].min()
    width, height = np.ptp(chart.v_plane, axis=0)
    if width <= longest or width < 2 * height:
        return (chart,)
    columns = np.unique(np.round(x, 9))
    left, right = (float(columns[np.abs(columns - share * width).argmin()]) for share in (0.25, 0.75))
    middle = x[chart.t_vertex_idx].mean(1)
    pieces = []
    for chosen in (middle < left, (middle >= left) & (middle < right), middle >= right):
        used, triangles = np.unique(chart.t_vertex_idx[chosen], return_inverse=True)
        pieces.append(
            Chart(chart.v_position[used], chart.v_normal[used], chart.v_plane[used], triangles.reshape(-1, 3))
        )
    return tuple(pieces)


def _welded(chart: Chart) -> Chart:
    """The chart with vertices that are the same in every respect made one."""
    rows = np.round(np.concatenate([chart.v_position, chart.v_normal, chart.v_plane], axis=1), 7)
    _, first, joined = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    # In the order of first appearance: neighbours stay neighbours in the file.
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    keep = first[order]
    return Chart(
        chart.v_position[keep],
        chart.v_normal[keep],
        chart.v_plane[keep],
        place[joined.reshape(-1)][chart.t_vertex_idx],
    )


def _rounded(values: Float[np.ndarray, "count size"]) -> Float[np.ndarray, "count size"]:
    # Adding zero turns -0.0 into 0.0.
    return (np.round(values, DECIMALS) + 0.0).astype(np.float32)
