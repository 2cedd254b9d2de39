"""From a file's materials to one atlas: every texel knows its point on the surface and reads it there.

Colour is averaged as linear light; normals are carried from the source's tangent frame into the mesh's own.

Signs. In glTF a texel (x, y, z) means T x + B y + N z with B = w cross(N, T), T along +u and w = -1 on faces
whose texture is mirrored. Ours means T x - cross(T, N) y + N z (`castex.mesh`), which is the same with w = +1
everywhere. So where texture coordinates are kept, y changes its sign on mirrored faces alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int32

from castex.errors import InputError
from castex.maps import TextureMaps
from castex.mesh import Mesh
from castex.pyramid import Pictures
from castex.surface import Surface
from castex.texels import Frames, Points, footprints, material_values
from castex.uv.raster import Overdrawn, fragments, signed_areas

TEXELS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Atlas:
    """Which point of the surface each texel shows; row 0 is v = 0."""

    texel_triangle_idx: Int32[np.ndarray, "size size"]
    """-1 where no chart is."""
    texel_barycentric: Float[np.ndarray, "size size 3"]
    """Weights of the triangle's corners at the texel's centre; 0 where no chart is."""


def atlas(
    v_texcoord: Float[np.ndarray, "vertices 2"], t_vertex_idx: Int[np.ndarray, "triangles 3"], size: int
) -> Atlas:
    """Texels whose centre lies in a triangle; where several do, the lowest index wins.

    A triangle too small for any centre gets the texel under its centroid if that is free, at the centroid.
    InputError for a layout that covers itself over and over.
    """
    owner = np.full(size * size, -1, dtype=np.int32)
    weight = np.zeros((size * size, 3), dtype=np.float32)
    try:
        most = 64 * size * size + 64 * len(t_vertex_idx)
        for part in fragments(v_texcoord, t_vertex_idx, size, most=most):
            free = owner[part.texel] < 0
            # Assigned backwards: of several the last one written stays, which is the first.
            texel = part.texel[free][::-1]
            owner[texel] = part.triangle[free][::-1]
            weight[texel] = part.barycentric[free][::-1]
    except Overdrawn:
        raise InputError("the texture coordinates overlap everywhere; unwrap the mesh again") from None
    seen = np.zeros(len(t_vertex_idx), dtype=bool)
    seen[owner[owner >= 0]] = True
    unseen = np.flatnonzero(~seen)[::-1]
    centroid = v_texcoord[t_vertex_idx[unseen]].astype(np.float64).mean(1) * size
    inside = np.isfinite(centroid).all(1) & (centroid >= 0).all(1) & (centroid < size).all(1)
    column, row = centroid[inside].astype(np.int64).T
    texel, unseen = row * size + column, unseen[inside]
    free = owner[texel] < 0
    owner[texel[free]] = unseen[free]
    weight[texel[free]] = np.float32(1 / 3)
    return Atlas(owner.reshape(size, size), weight.reshape(size, size, 3))


def dilated(
    values: Float[np.ndarray, "height width channels"], filled: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width channels"]:
    """Every empty texel takes the value of the nearest filled one, so filtering never mixes in nothing.

    With no filled texel at all, the values come back as they are.
    """
    from scipy.ndimage import distance_transform_edt

    if filled.all() or not filled.any():
        return values
    row, column = distance_transform_edt(~filled, return_distances=False, return_indices=True)
    return np.asarray(values[row, column])


def bake_maps(
    surface: Surface, mesh: Mesh, t_source_idx: Int[np.ndarray, "triangles"] | None, *, size: int
) -> TextureMaps:
    """The source's materials in the mesh's atlas, `size` x `size`, padded beyond the charts.

    Triangle k of the mesh shows triangle `t_source_idx[k]` of the surface, corners in the same order. None
    says that the mesh has the source's own triangles and texture coordinates, up to whole tiles: then a
    picture of the same size comes back byte for byte inside the charts.
    """
    kept = t_source_idx is None
    t_source_idx = np.arange(len(surface.t_vertex_idx)) if t_source_idx is None else t_source_idx
    uv, triangles = mesh.v_texcoord.numpy(), mesh.t_vertex_idx.numpy()
    chart = atlas(uv, triangles, size)
    texel = np.flatnonzero(chart.texel_triangle_idx >= 0)
    owner = chart.texel_triangle_idx.reshape(-1)[texel].astype(np.int64)
    weight = chart.texel_barycentric.reshape(-1, 3)
    footprint = footprints(surface, uv[triangles], t_source_idx, size)
    pictures = Pictures(footprint)
    mirrored = signed_areas(uv[triangles].astype(np.float64)) > 0
    values = np.zeros((size * size, 8), dtype=np.float32)
    material = surface.t_material[t_source_idx[owner]]
    bumpy = any(surface.materials[k].normal_picture is not None for k in np.unique(material))
    frames = Frames.of(surface, mesh) if bumpy and not kept else None
    for k in np.unique(material):
        rows = np.flatnonzero(material == k)
        for start in range(0, len(rows), TEXELS_AT_ONCE):
            some, triangle = texel[(part := rows[start : start + TEXELS_AT_ONCE])], owner[part]
            points = Points(
                triangle=t_source_idx[triangle],
                weight=weight[some],
                footprint=footprint[triangle],
                uv=_centres(some, size) if kept else None,
            )
            plain, normal = material_values(surface, surface.materials[k], points, pictures)
            if kept:
                normal[:, 1] *= np.where(mirrored[triangle], -1, 1)
            elif frames is not None and surface.materials[k].normal_picture is not None:
                normal = frames.carried(normal, points, triangle)
            values[some] = np.concatenate([plain, normal], 1)
    grid = dilated(values.reshape(size, size, 8), chart.texel_triangle_idx >= 0)
    albedo, roughness, metallic, normal = np.split(grid, (3, 4, 5), axis=2)
    return TextureMaps(*(torch.from_numpy(part.copy()) for part in (albedo, roughness, metallic, normal)))


def _centres(texel: Int[np.ndarray, "texels"], size: int) -> Float[np.ndarray, "texels 2"]:
    row, column = np.divmod(texel, size)
    return (np.stack([column, row], 1) + 0.5) / size
