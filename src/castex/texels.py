"""What a texel reads from the source: its material there, and a normal carried between tangent frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from castex.mesh import Mesh, vertex_tangents
from castex.pyramid import Pictures, data_meaning, linear_meaning, normal_meaning
from castex.scene import Material
from castex.surface import Surface
from castex.uv.raster import signed_areas

SMALLEST = 1e-12
LEAST_UPRIGHT = 1e-3
"""Of 1 - cos^2 between the interpolated tangent and normal: below it the frame has collapsed."""


@dataclass(frozen=True)
class Points:
    """Points of the source surface."""

    triangle: Int[np.ndarray, "points"]
    weight: Float[np.ndarray, "points 3"]
    footprint: Float[np.ndarray, "points"]
    """log2 of the side in texture coordinates that one texel of the new atlas covers."""
    uv: Float[np.ndarray, "points 2"] | None = None
    """Where the source's pictures are read; None: interpolated from the source's corners."""


def footprints(
    surface: Surface,
    corner_uv: Float[np.ndarray, "triangles 3 2"],
    t_source_idx: Int[np.ndarray, "triangles"],
    size: int,
) -> Float[np.ndarray, "triangles"]:
    """`Points.footprint` of each triangle of the new atlas; very small where the source has no area."""
    given = surface.v_texcoord[surface.t_vertex_idx[t_source_idx]].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        source = np.abs(signed_areas(given))
    source = np.where(np.isfinite(source), source, 0)
    target = np.abs(signed_areas(corner_uv.astype(np.float64))) * size**2
    return np.asarray(0.5 * np.log2(np.maximum(source, 1e-30) / np.maximum(target, SMALLEST)))


def material_values(
    surface: Surface, material: Material, points: Points, pictures: Pictures
) -> tuple[Float[np.ndarray, "points 5"], Float[np.ndarray, "points 3"]]:
    """(linear albedo, roughness, metallic) in [0, 1], and the unit normal in the source's tangent frame."""
    corners = surface.t_vertex_idx[points.triangle]
    weight = points.weight[..., None].astype(np.float64)
    uv = (surface.v_texcoord[corners] * weight).sum(1) if points.uv is None else points.uv
    textured = surface.t_has_uv[points.triangle] & np.isfinite(uv).all(1)
    uv = np.where(textured[:, None], uv, 0)

    def read(
        picture: UInt8[np.ndarray, "*shape"] | None, meaning: Float[np.ndarray, "256"], *otherwise: float
    ) -> Float[np.ndarray, "..."]:
        if picture is None:
            return np.tile(_floats(*otherwise), (len(uv), 1))
        value = pictures.read(picture, meaning, uv, points.footprint)
        return np.where(textured[:, None], value, _floats(*otherwise))

    color = _floats(*material.albedo) * (surface.v_color[corners] * weight).sum(1)
    plain = np.concatenate(
        [
            read(material.albedo_picture, linear_meaning(), 1.0, 1.0, 1.0) * color,
            read(material.roughness_picture, data_meaning(), 1.0) * material.roughness,
            read(material.metallic_picture, data_meaning(), 1.0) * material.metallic,
        ],
        axis=1,
    )
    normal = read(material.normal_picture, normal_meaning(), 0.0, 0.0, 1.0)
    normal = normal * _floats(material.normal_scale, material.normal_scale, 1.0)
    upright = np.array([0, 0, 1], dtype=np.float64)
    return np.clip(plain, 0, 1).astype(np.float32), _unit(normal, upright).astype(np.float32)


@dataclass(frozen=True)
class Frames:
    """Tangent frames before and after: the source's per corner (mirrored faces apart) and the mesh's own."""

    surface: Surface
    source_tangent: Float[np.ndarray, "source_triangles 3 3"]
    handedness: Float[np.ndarray, "source_triangles"]
    tangent: Float[np.ndarray, "triangles 3 3"]

    @staticmethod
    def of(surface: Surface, mesh: Mesh) -> Frames:
        """The frames of a surface and of the mesh that was made of it."""
        uv = np.where(np.isfinite(surface.v_texcoord), surface.v_texcoord, 0).clip(-1e6, 1e6)
        mirrored = signed_areas(uv[surface.t_vertex_idx].astype(np.float64)) > 0
        # A vertex between a mirrored face and another has a tangent for each: their sum means nothing.
        code, split = np.unique(surface.t_vertex_idx * 2 + mirrored[:, None], return_inverse=True)
        split = split.reshape(-1, 3)
        vertices = torch.from_numpy(code // 2)
        tangent = vertex_tangents(
            torch.from_numpy(surface.v_position)[vertices],
            torch.from_numpy(surface.v_normal)[vertices],
            torch.from_numpy(uv)[vertices],
            torch.from_numpy(split),
        ).numpy()
        return Frames(
            surface, tangent[split], np.where(mirrored, -1.0, 1.0), mesh.v_tangent[mesh.t_vertex_idx].numpy()
        )

    def carried(
        self, normal: Float[np.ndarray, "points 3"], points: Points, triangle: Int[np.ndarray, "points"]
    ) -> Float[np.ndarray, "points 3"]:
        """Normals of the source's frame in the frame of the mesh's triangles `triangle`, unit length."""
        weight = points.weight[..., None].astype(np.float64)
        up = self.surface.v_normal[self.surface.t_vertex_idx[points.triangle]]
        up = _unit((up * weight).sum(1), np.array([0.0, 1.0, 0.0]))
        old = _unit((self.source_tangent[points.triangle] * weight).sum(1), np.zeros(3))
        new = _unit((self.tangent[triangle] * weight).sum(1), np.zeros(3))
        zero = np.zeros(3)
        x, y, z = (normal[:, k : k + 1].astype(np.float64) for k in range(3))
        side = self.handedness[points.triangle][:, None] * _unit(np.cross(up, old), zero)
        world = _unit(old * x + side * y + up * z, zero)
        # Ours: world = new n_x + cross(up, new) n_y + up n_z, where interpolation leaves new and up oblique.
        lean = (new * up).sum(1)
        across, along, height = ((world * axis).sum(1) for axis in (_unit(np.cross(up, new), zero), new, up))
        square = 1 - lean**2
        carried = np.stack(
            [(along - lean * height) / np.maximum(square, LEAST_UPRIGHT), across,
             (height - lean * along) / np.maximum(square, LEAST_UPRIGHT)], axis=1,
        )  # fmt: skip
        return _unit(carried, np.array([0.0, 0.0, 1.0])).astype(np.float32)


def _floats(*values: float) -> Float[np.ndarray, "values"]:
    return np.array(values, dtype=np.float32)


def _unit(
    vectors: Float[np.ndarray, "points 3"], otherwise: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "points 3"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > SMALLEST, vectors / np.maximum(length, SMALLEST), otherwise)
