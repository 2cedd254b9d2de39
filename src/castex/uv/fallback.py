"""A box projection that always succeeds: charts of faces that look the same way, packed on shelves.

Each connected patch of faces with one dominant axis is projected along that axis, so no triangle is
stretched by more than about 3. A patch that still covers itself (a spiral staircase) is taken apart until it
does not. A face on its own is laid flat instead of projected. Seconds for a million triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from castex.uv.raster import Overdrawn, fragments
from castex.uv.shelf import packed
from castex.weld import welded

SMOOTHING_ROUNDS = 6
SMALLEST_COSINE = 0.3
"""A face may join its neighbours' axis as long as its normal leans no further away than this."""
SEPARATION_ROUNDS = 7
FEW_LOSERS = 0.1
"""A chart in which fewer faces overlap loses those; another one is cut in two along the projection."""
SMALL_CHART, LARGE_CHART = 8, 2048
"""Up to the first size a chart that covers itself is taken apart at once, up to the second in the end."""
STRICTLY_INSIDE = 0.01
# Coordinates that run right and down in the texture for +x, -x, +y, -y, +z, -z, with their signs: seen from
# outside, nothing is mirrored.
RIGHT, RIGHT_SIGN = np.array([2, 2, 0, 0, 0, 0]), np.array([-1.0, 1, 1, 1, 1, -1])
DOWN, DOWN_SIGN = np.array([1, 1, 2, 2, 1, 1]), np.array([-1.0, -1, 1, -1, -1, -1])


@dataclass(frozen=True)
class Charts:
    """A layout per corner: texture coordinates in [0, 1] and the chart of each face."""

    uv: Float[np.ndarray, "triangles 3 2"]
    t_chart: Int[np.ndarray, "triangles"]


def box_unwrap(
    v_position: Float[np.ndarray, "vertices 3"],
    t_vertex_idx: Int[np.ndarray, "triangles 3"],
    *,
    resolution: int,
    padding: int,
) -> Charts:
    """Charts of finite triangles with an area, packed with `padding` texels of a `resolution`^2 picture.

    Charts never touch; a chart that covers itself where a picture twice as wide would show it is broken up
    (in seven rounds, the last of which leaves single faces).
    """
    corners = v_position[t_vertex_idx].astype(np.float64)
    pairs = _neighbours(welded(v_position.astype(np.float32))[0][t_vertex_idx])
    axis = _axes(corners, pairs)
    label, flat = axis, _projected(corners, axis)
    for left in reversed(range(SEPARATION_ROUNDS + 1)):
        charts = _laid_out(corners, flat, _components(label, pairs), padding / resolution)
        loses = np.zeros(len(corners), dtype=bool)
        # The finer look costs four times as much and is for what the coarse one does not see.
        for size in (resolution, 2 * resolution) if left else ():
            loses = loses if loses.any() else _losers(charts, min(size, 4096))
        if not loses.any():
            break
        along = corners.mean(1)[np.arange(len(axis)), axis // 2]
        label = _separated(charts.t_chart, loses, along, last=left == 1)
    return charts


def _neighbours(corners: Int[np.ndarray, "triangles 3"]) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of faces that share an edge which no third face has."""
    edges = np.sort(np.stack([corners, np.roll(corners, -1, axis=1)], -1).reshape(-1, 2), axis=1)
    code = edges[:, 0] * (int(corners.max()) + 1) + edges[:, 1]
    order = np.argsort(code, kind="stable")
    same = code[order][1:] == code[order][:-1]
    alone = same & ~np.concatenate([[False], same[:-1]]) & ~np.concatenate([same[1:], [False]])
    where = np.flatnonzero(alone)
    return np.stack([order[where], order[where + 1]], 1) // 3


def _axes(
    corners: Float[np.ndarray, "triangles 3 3"], pairs: Int[np.ndarray, "pairs 2"]
) -> Int[np.ndarray, "triangles"]:
    """Axis 0..5 of each face: the dominant one of its normal, then the majority's among its neighbours."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    cosines = np.stack([normal, -normal], 2).reshape(-1, 6)
    axis = cosines.argmax(1)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    for _ in range(SMOOTHING_ROUNDS):
        votes = np.bincount(both[:, 0] * 6 + axis[both[:, 1]], minlength=6 * len(axis)).reshape(-1, 6)
        votes = np.where(cosines >= SMALLEST_COSINE, votes.astype(np.float64), 0)
        votes[np.arange(len(axis)), axis] += 0.5
        # Equal votes go to the axis that the face looks along most.
        axis = (votes + 0.1 * cosines).argmax(1)
    return np.asarray(axis)


def _components(
    label: Int[np.ndarray, "triangles"], pairs: Int[np.ndarray, "pairs 2"]
) -> Int[np.ndarray, "triangles"]:
    """Number of the connected patch of equal labels that each face belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    linked = pairs[label[pairs[:, 0]] == label[pairs[:, 1]]]
    ones = np.ones(len(linked), dtype=np.int8)
    graph = coo_array((ones, (linked[:, 0], linked[:, 1])), shape=(len(label), len(label)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _projected(
    corners: Float[np.ndarray, "triangles 3 3"], axis: Int[np.ndarray, "triangles"]
) -> Float[np.ndarray, "triangles 3 2"]:
    """Corners as they are seen along their face's axis, x right and y down."""
    right = np.take_along_axis(corners, RIGHT[axis][:, None, None], 2) * RIGHT_SIGN[axis][:, None, None]
    down = np.take_along_axis(corners, DOWN[axis][:, None, None], 2) * DOWN_SIGN[axis][:, None, None]
    return np.concatenate([right, down], 2)


def _laid_out(
    corners: Float[np.ndarray, "triangles 3 3"],
    projected: Float[np.ndarray, "triangles 3 2"],
    chart: Int[np.ndarray, "triangles"],
    margin: float,
) -> Charts:
    """Pack the bounding boxes of the projected charts; a chart of one face is laid flat instead."""
    faces = np.bincount(chart)
    alone = faces[chart] == 1
    flat = projected.copy()
    flat[alone] = _unfolded(corners[alone])
    low, high = np.full((len(faces), 2), np.inf), np.full((len(faces), 2), -np.inf)
    for k in range(2):
        np.minimum.at(low[:, k], chart, flat[:, :, k].min(1))
        np.maximum.at(high[:, k], chart, flat[:, :, k].max(1))
    place, turned, scale = packed(high - low, margin)
    local = flat - low[chart][:, None]
    # A quarter turn keeps the orientation: (x, y) -> (height - y, x).
    quarter = np.stack([(high - low)[chart, None, 1] - local[..., 1], local[..., 0]], 2)
    local = np.where(turned[chart][:, None, None], quarter, local)
    return Charts((local * scale + place[chart][:, None]).clip(0, 1), chart)


def _unfolded(corners: Float[np.ndarray, "triangles 3 3"]) -> Float[np.ndarray, "triangles 3 2"]:
    """Triangles in the plane with their true lengths, the longest edge along x, seen from outside."""
    edges = np.roll(corners, -1, axis=1) - corners
    lengths = np.linalg.norm(edges, axis=2)
    faces = np.arange(len(corners))
    first = lengths.argmax(1)
    longest = lengths[faces, first]
    along = edges[faces, first] / np.maximum(longest, 1e-300)[:, None]
    towards = corners[faces, (first + 2) % 3] - corners[faces, first]
    x = (towards * along).sum(1)
    height = np.linalg.norm(towards - x[:, None] * along, axis=1)
    laid = np.zeros((len(corners), 3, 2))
    laid[faces, (first + 1) % 3, 0] = longest
    laid[faces, (first + 2) % 3] = np.stack([x, -height], 1)
    return laid


def _losers(charts: Charts, size: int) -> Bool[np.ndarray, "triangles"]:
    """Faces that share a texel centre with a face of lower index."""
    faces = len(charts.uv)
    layout = charts.uv.reshape(-1, 2), np.arange(3 * faces).reshape(-1, 3)
    layers, loses = np.zeros(size * size, dtype=np.int64), np.zeros(faces, dtype=bool)
    try:
        for part in fragments(*layout, size, most=16 * size * size + 8 * faces):
            layers += np.bincount(part.texel[part.inside > STRICTLY_INSIDE], minlength=size * size)
    except Overdrawn:
        loses[1:] = True
        return loses
    crowded = layers > 1
    if not crowded.any():
        return loses
    taken = np.zeros(size * size, dtype=bool)
    for part in fragments(*layout, size):
        strict = (part.inside > STRICTLY_INSIDE) & crowded[part.texel]
        # The fragments come in the order of the faces: the first one keeps the texel.
        texel, first = np.unique(part.texel[strict], return_index=True)
        keeps = np.zeros(int(strict.sum()), dtype=bool)
        keeps[first] = ~taken[texel]
        taken[texel] = True
        loses[part.triangle[strict][~keeps]] = True
    return loses


def _separated(
    chart: Int[np.ndarray, "triangles"],
    loses: Bool[np.ndarray, "triangles"],
    along: Float[np.ndarray, "triangles"],
    *,
    last: bool,
) -> Int[np.ndarray, "triangles"]:
    """New labels that break up every chart with a loser; what covers itself differs in depth `along`."""
    faces = np.bincount(chart)
    share = np.bincount(chart, weights=loses) / faces
    low, high = np.full(len(faces), np.inf), np.full(len(faces), -np.inf)
    np.minimum.at(low, chart, along)
    np.maximum.at(high, chart, along)
    part = np.where((share < FEW_LOSERS)[chart], loses, along > ((low + high) / 2)[chart])
    label = 2 * chart + np.where(share[chart] > 0, part, 0)
    apart = ((share > 0) & (faces <= (LARGE_CHART if last else SMALL_CHART)))[chart] | (last & loses)
    return np.where(apart, 2 * len(faces) + np.arange(len(chart)), label)
