"""Which triangle each pixel sees: Embree on the CPU, nvdiffrast on CUDA, one convention.

A pixel's ray goes through its centre; row 0 is the top. The answer is an image of triangle indices, -1 for
the background: barycentrics are computed from the triangle's plane in `raster`, so that both backends
share every digit but the choice of the triangle. Geometry is frozen: nothing here is differentiated.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from castex.chunks import on_threads
from castex.mesh import Mesh
from castex.shot import Shot

NEAR, FAR = 0.01, 100.0


@runtime_checkable
class Visibility(Protocol):
    """Bound to one mesh."""

    def __call__(self, shot: Shot, size: int) -> Int[Tensor, "views size size"]:
        """Index of the nearest triangle per pixel, -1 where there is none."""
        ...


def visibility_of(mesh: Mesh) -> Visibility:
    """The backend for the device on which the mesh lies."""
    return NvdiffrastVisibility(mesh) if mesh.v_position.is_cuda else EmbreeVisibility(mesh)


def pixel_rays(size: int, fov: float) -> Float[Tensor, "3 size size"]:
    """Ray through each pixel centre in the camera's axes (right, up, back), depth 1, float64."""
    ticks = (2 * (torch.arange(size, dtype=torch.float64) + 0.5) / size - 1) * math.tan(math.radians(fov) / 2)
    up, right = torch.meshgrid(-ticks, ticks, indexing="ij")
    return torch.stack([right, up, -torch.ones_like(right)])


class EmbreeVisibility:
    """First hits of Embree's ray caster; views are cast side by side on torch's threads."""

    def __init__(self, mesh: Mesh) -> None:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        self._scene = rtcore_scene.EmbreeScene()
        corners = mesh.v_position[mesh.t_vertex_idx].float().cpu().contiguous().numpy()
        # The scene reads these vertices as long as it lives.
        self._geometry: Any = TriangleMesh(self._scene, corners)

    def __call__(self, shot: Shot, size: int) -> Int[Tensor, "views size size"]:
        """Index of the nearest triangle per pixel, -1 where there is none."""
        local = pixel_rays(size, shot.fov).flatten(1).float()
        eyes, axes = shot.eyes(), shot.axes()
        hits = np.empty((len(shot), size, size), dtype=np.int32)

        def cast(view: int) -> None:
            rays = (axes[view].T.float() @ local).T.contiguous().numpy()
            origins = np.broadcast_to(eyes[view].float().numpy(), rays.shape).copy()
            hits[view] = self._scene.run(origins, rays, query="INTERSECT").reshape(size, size)

        # The first query commits the scene, which must not happen twice at once.
        cast(0)
        on_threads(cast, range(1, len(shot)))
        return torch.from_numpy(hits)


class NvdiffrastVisibility:
    """Triangle indices of nvdiffrast's CUDA rasteriser; an optional package that the user installs."""

    def __init__(self, mesh: Mesh) -> None:
        import nvdiffrast.torch as dr

        self._rasterize = dr.rasterize
        self._context = dr.RasterizeCudaContext(device=mesh.v_position.device)
        self._position = mesh.v_position.float()
        self._triangles = mesh.t_vertex_idx.int().contiguous()

    def __call__(self, shot: Shot, size: int) -> Int[Tensor, "views size size"]:
        """Index of the nearest triangle per pixel, -1 where there is none."""
        matrices = clip_matrices(shot).float().to(self._position.device)
        ones = torch.ones_like(self._position[:, :1])
        clip = torch.cat([self._position, ones], dim=1) @ matrices.transpose(1, 2)
        raster, _ = self._rasterize(
            self._context, clip.contiguous(), self._triangles, (size, size), grad_db=False
        )
        # nvdiffrast counts triangles from 1 and rows from the bottom.
        hits: Tensor = raster[..., 3].flip(1).int() - 1
        return hits


def clip_matrices(shot: Shot) -> Float[Tensor, "views 4 4"]:
    """World to clip space (OpenGL: x right, y up, z in [-w, w], near 0.01, far 100), float64."""
    axes, eyes = shot.axes(), shot.eyes()
    view = torch.zeros(len(shot), 4, 4, dtype=torch.float64)
    view[:, :3, :3] = axes
    view[:, :3, 3] = -(axes @ eyes[..., None])[..., 0]
    view[:, 3, 3] = 1
    focal = 1 / math.tan(math.radians(shot.fov) / 2)
    projection = torch.zeros(4, 4, dtype=torch.float64)
    projection[0, 0] = projection[1, 1] = focal
    projection[2, 2] = -(FAR + NEAR) / (FAR - NEAR)
    projection[2, 3] = -2 * FAR * NEAR / (FAR - NEAR)
    projection[3, 2] = -1
    return projection @ view
