"""The mesh that is textured: one vertex buffer, one atlas, frozen geometry, and its tangent frames.

Frame: right-handed, +Y up, the front faces +Z (as in glTF). After `normalised` the bounding box is centred
at the origin and its longest side is 2 (the paper's preparation). Texture coordinates have their origin at
the *top left* of the picture, v down, as in glTF; OBJ's v is flipped when it is read.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from castex.errors import InputError
from castex.files import write_tensors
from castex.weld import welded

Vectors = Float[Tensor, "vertices 3"]
SMALLEST_DENOMINATOR = 1e-6
SMALLEST_LENGTH = 1e-20


@dataclass(frozen=True)
class Mesh:
    """Triangles with unit normals, unit tangents and texture coordinates per vertex (seams are split)."""

    v_position: Vectors
    v_normal: Vectors
    v_tangent: Vectors
    v_texcoord: Float[Tensor, "vertices 2"]
    t_vertex_idx: Int[Tensor, "triangles 3"]

    def to(self, device: torch.device | str) -> Mesh:
        """The same mesh on another device."""
        return Mesh(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


def with_tangents(
    v_position: Vectors,
    v_normal: Vectors,
    v_texcoord: Float[Tensor, "vertices 2"],
    t_vertex_idx: Int[Tensor, "triangles 3"],
) -> Mesh:
    """A mesh whose tangent frames are computed from positions and texture coordinates."""
    tangents = vertex_tangents(v_position, v_normal, v_texcoord, t_vertex_idx)
    return Mesh(v_position, v_normal, tangents, v_texcoord, t_vertex_idx)


def normalised(v_position: Vectors) -> Vectors:
    """Positions moved and scaled so that the bounding box is centred and its longest side is 2.

    Computed in float64: an object far from the origin keeps its shape. InputError for a box without size.
    """
    exact = v_position.double()
    low, high = exact.amin(0), exact.amax(0)
    longest = (high - low).max()
    if not torch.isfinite(longest) or longest <= 0:
        raise InputError(f"the mesh's longest side is {longest.item():g}; give a mesh with an extent")
    return ((exact - (low + high) / 2) * (2 / longest)).to(v_position.dtype)


def vertex_normals(v_position: Vectors, t_vertex_idx: Int[Tensor, "triangles 3"]) -> Vectors:
    """Area-weighted mean of the face normals around each position, unit length.

    Vertices at the same position share a normal even where the atlas has a seam between them; a vertex
    whose faces have no area gets +Y.
    """
    ids, places = welded(v_position.float().cpu().numpy())
    joined, points = torch.from_numpy(ids), torch.from_numpy(places)
    corners = joined[t_vertex_idx]
    p0, p1, p2 = (points[corners[:, k]] for k in range(3))
    face = torch.linalg.cross(p1 - p0, p2 - p0)
    total = torch.zeros(len(points), 3, dtype=torch.float64)
    for k in range(3):
        total.index_add_(0, corners[:, k], face)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    return _unit(total, up)[joined].to(v_position.dtype)


def vertex_tangents(
    v_position: Vectors,
    v_normal: Vectors,
    v_texcoord: Float[Tensor, "vertices 2"],
    t_vertex_idx: Int[Tensor, "triangles 3"],
) -> Vectors:
    """Unit tangents along +u, orthogonal to the normal: the formula that nvdiffrec and CasTex share.

    Per face t = (e1 dv2 - e2 dv1) / (du1 dv2 - dv1 du2), the denominator kept at least 1e-6 away from zero
    with its sign; summed to vertices, normalised, made orthogonal to the vertex normal. Where a face has no
    texture area, any direction orthogonal to the normal is taken.
    """
    p0, p1, p2 = (v_position[t_vertex_idx[:, k]].double() for k in range(3))
    uv0, uv1, uv2 = (v_texcoord[t_vertex_idx[:, k]].double() for k in range(3))
    e1, e2, d1, d2 = p1 - p0, p2 - p0, uv1 - uv0, uv2 - uv0
    denominator = d1[:, :1] * d2[:, 1:] - d1[:, 1:] * d2[:, :1]
    sign = torch.where(denominator < 0, -1.0, 1.0)
    denominator = sign * denominator.abs().clamp_min(SMALLEST_DENOMINATOR)
    face = (e1 * d2[:, 1:] - e2 * d1[:, 1:]) / denominator
    total = torch.zeros(len(v_position), 3, dtype=torch.float64)
    for k in range(3):
        total.index_add_(0, t_vertex_idx[:, k], face)
    normal = v_normal.double()
    # Any vector that is not parallel to the normal serves where the sum vanishes.
    axis = torch.eye(3, dtype=torch.float64)[normal.abs().argmin(1)]
    fallback = _unit(axis - (axis * normal).sum(1, keepdim=True) * normal, axis)
    tangent = _unit(total, fallback)
    tangent = tangent - (tangent * normal).sum(1, keepdim=True) * normal
    return _unit(tangent, fallback).to(v_position.dtype)


def _unit(vectors: Tensor, fallback: Tensor) -> Tensor:
    length = vectors.norm(dim=1, keepdim=True)
    return torch.where(length > SMALLEST_LENGTH, vectors / length.clamp_min(SMALLEST_LENGTH), fallback)


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write a prepared mesh as safetensors, atomically."""
    write_tensors(path, {field.name: getattr(mesh, field.name) for field in dataclasses.fields(mesh)})


def read_mesh(path: Path) -> Mesh:
    """Read a prepared mesh; InputError when the file is no such thing."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        return Mesh(**tensors)
    except (OSError, SafetensorError, TypeError) as error:
        raise InputError(f"{path} is no prepared mesh ({error}); run `castex prepare` again") from error
