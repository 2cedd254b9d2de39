"""The G-buffer of covered pixels: perspective-correct attributes and texture footprints, in closed form.

For a ray eye + s d and a triangle p0, e1 = p1 - p0, e2 = p2 - p0 with N = e1 x e2 and q = p0 - eye,

    b1 = d.(e2 x q) / d.N,    b2 = d.(q x e1) / d.N,

and since d is affine in the pixel coordinates, d b1 / dx = (dd/dx.(e2 x q) - b1 dd/dx.N) / d.N: exact screen
derivatives of the texture coordinates without neighbours, for any backend that names the triangle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from castex.chunks import on_threads, pieces
from castex.mesh import Mesh
from castex.shading import VANISHING, unit
from castex.shot import Shot
from castex.visibility import pixel_rays

# A grazing ray's d.N is kept this far from zero, relative to |d| |N|.
SMALLEST_COSINE = 1e-6


@dataclass(frozen=True)
class GBuffer:
    """Covered pixels packed behind each other; nothing here carries a gradient."""

    gb_pixel_idx: Int[Tensor, "pixels"]
    """Position in `views size size`, flattened."""
    gb_normal: Float[Tensor, "3 pixels"]
    gb_tangent: Float[Tensor, "3 pixels"]
    gb_view: Float[Tensor, "3 pixels"]
    """Unit vector from the surface to the camera."""
    gb_texcoord: Float[Tensor, "2 pixels"]
    gb_footprint: Float[Tensor, "pixels"]
    """Longest axis of a pixel's footprint in the texture, in units of its side."""


class Raster:
    """A mesh prepared for interpolation: per-triangle corners, edges and vertex attributes."""

    def __init__(self, mesh: Mesh, dtype: torch.dtype = torch.float32) -> None:
        corner = mesh.v_position.double()[mesh.t_vertex_idx]
        edge1, edge2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
        plane = torch.linalg.cross(edge1, edge2)
        # Unit planes keep tiny triangles away from the underflow of float32.
        length = plane.norm(dim=1, keepdim=True).clamp_min(1e-300)
        self._origin, self._edge1, self._edge2 = corner[:, 0], edge1 / length, edge2 / length
        self._plane = plane / length
        attributes = torch.cat([mesh.v_normal, mesh.v_tangent, mesh.v_texcoord], dim=1)
        self._attributes = (
            attributes[mesh.t_vertex_idx].to(dtype).permute(2, 1, 0).reshape(24, -1).contiguous()
        )
        self._dtype = dtype

    def __call__(self, hits: Int[Tensor, "views size size"], shot: Shot) -> GBuffer:
        """Interpolate at every covered pixel of every view."""
        size = hits.shape[1] * hits.shape[2]
        rays = pixel_rays(hits.shape[1], shot.fov).flatten(1).to(hits.device, self._dtype)
        flat = hits.flatten()
        pixel = (flat >= 0).nonzero().flatten()
        buffer = _empty(pixel, self._dtype)
        edges = torch.searchsorted(pixel, torch.arange(len(shot) + 1, device=hits.device) * size).tolist()
        jobs: list[tuple[slice, _Camera, Tensor]] = []
        for view, (start, stop) in enumerate(pairwise(edges)):
            camera = _Camera(shot.view(view), hits.shape[1], self._plane.device, self._dtype)
            planes = self._planes(camera.eye)
            jobs += [
                (slice(start + piece.start, start + piece.stop), camera, planes)
                for piece in pieces(stop - start, hits.device)
            ]

        def fill(job: tuple[slice, _Camera, Tensor]) -> None:
            here, camera, planes = job
            seen = pixel[here]
            triangle = flat.index_select(0, seen).long()
            self._fill(buffer, here, triangle, rays.index_select(1, seen % size), camera, planes)

        on_threads(fill, jobs)
        return buffer

    def depth(self, hits: Int[Tensor, "views size size"], shot: Shot) -> Float[Tensor, "views 1 size size"]:
        """Distance from the camera's plane at every pixel, in units of the mesh; 0 where nothing is hit."""
        size = hits.shape[1]
        rays = pixel_rays(size, shot.fov).flatten(1).to(hits.device)
        depth = torch.zeros(len(shot), size * size, dtype=torch.float64, device=hits.device)
        for view, seen in enumerate(hits.flatten(1)):
            pixel = (seen >= 0).nonzero().flatten()
            triangle = seen[pixel].long()
            single = shot.view(view)
            q = self._origin[triangle] - single.eyes()[0].to(hits.device)
            direction = rays[:, pixel].T @ single.axes()[0].to(hits.device)
            across = (direction * self._plane[triangle]).sum(1)
            smallest = SMALLEST_COSINE * direction.norm(dim=1)
            across = torch.where(across < 0, -1.0, 1.0) * torch.maximum(across.abs(), smallest)
            depth[view, pixel] = (q * self._plane[triangle]).sum(1) / across
        return depth.to(self._dtype).view(len(shot), 1, size, size)

    def _fill(
        self, buffer: GBuffer, here: slice, triangle: Tensor, local: Tensor, camera: _Camera, planes: Tensor
    ) -> None:
        ray = camera.axes.T @ local
        plane = planes.index_select(1, triangle)
        barycentric, along_x, along_y = _barycentrics(plane, ray, camera.across, camera.down)
        values = self._attributes.index_select(1, triangle).view(8, 3, -1)
        normal = _interpolated(values[0:3], barycentric)
        # Opposite vertex normals cancel somewhere in between: the triangle's own stands in.
        bare = (normal * normal).sum(0) <= VANISHING
        buffer.gb_normal[:, here] = unit(torch.where(bare, plane[:3], normal))
        buffer.gb_tangent[:, here] = unit(_interpolated(values[3:6], barycentric))
        buffer.gb_view[:, here] = -unit(ray)
        buffer.gb_texcoord[:, here] = _interpolated(values[6:8], barycentric)
        buffer.gb_footprint[here] = _longest_axis(
            _slopes(values[6:8], along_x), _slopes(values[6:8], along_y)
        )

    def _planes(self, eye: Tensor) -> Float[Tensor, "9 triangles"]:
        """Per triangle: N, e2 x q and q x e1 for this camera, in the working precision."""
        q = self._origin - eye
        first, second = torch.linalg.cross(self._edge2, q), torch.linalg.cross(q, self._edge1)
        return torch.cat([self._plane, first, second], dim=1).T.to(self._dtype).contiguous()


class _Camera:
    """One view in the working precision: its axes as rows, and how rays change from pixel to pixel."""

    def __init__(self, shot: Shot, size: int, device: torch.device, dtype: torch.dtype) -> None:
        self.eye = shot.eyes()[0].to(device)
        axes = shot.axes()[0].to(device)
        step = 2 * math.tan(math.radians(shot.fov) / 2) / size
        self.axes = axes.to(dtype)
        self.across, self.down = (axes[0] * step).to(dtype), (-axes[1] * step).to(dtype)


def _empty(pixel: Tensor, dtype: torch.dtype) -> GBuffer:
    shapes = [(3,), (3,), (3,), (2,), ()]
    return GBuffer(pixel, *(torch.empty(*s, len(pixel), dtype=dtype, device=pixel.device) for s in shapes))


def _barycentrics(
    planes: Float[Tensor, "9 pixels"],
    ray: Float[Tensor, "3 pixels"],
    across: Float[Tensor, "3"],
    down: Float[Tensor, "3"],
) -> tuple[Float[Tensor, "2 pixels"], Float[Tensor, "2 pixels"], Float[Tensor, "2 pixels"]]:
    """(b1, b2) at the pixel centre, and their change per pixel to the right and downwards."""
    normal, first, second = planes.view(3, 3, -1).unbind(0)
    depth = (ray * normal).sum(0)
    smallest = SMALLEST_COSINE * (ray * ray).sum(0).sqrt()
    depth = torch.where(depth < 0, -1.0, 1.0).to(depth) * torch.maximum(depth.abs(), smallest)
    inverse = 1 / depth
    b1, b2 = (ray * first).sum(0) * inverse, (ray * second).sum(0) * inverse
    slopes = []
    for step in (across, down):
        change = step @ normal
        slopes.append(
            torch.stack([(step @ first - b1 * change) * inverse, (step @ second - b2 * change) * inverse])
        )
    # At a silhouette Embree may name a triangle whose plane the ray meets just outside of it.
    inside = torch.stack([b1, b2]).clamp(0, 1)
    return inside / inside.sum(0).clamp_min(1), slopes[0], slopes[1]


def _interpolated(
    values: Float[Tensor, "channels 3 pixels"], barycentric: Float[Tensor, "2 pixels"]
) -> Tensor:
    b1, b2 = barycentric.unbind(0)
    v0, v1, v2 = values.unbind(1)
    return v0 * (1 - b1 - b2) + v1 * b1 + v2 * b2


def _slopes(
    values: Float[Tensor, "2 3 pixels"], slope: Float[Tensor, "2 pixels"]
) -> Float[Tensor, "2 pixels"]:
    v0, v1, v2 = values.unbind(1)
    return (v1 - v0) * slope[0] + (v2 - v0) * slope[1]


def _longest_axis(
    along_x: Float[Tensor, "2 pixels"], along_y: Float[Tensor, "2 pixels"]
) -> Float[Tensor, "pixels"]:
    """Largest singular value of the Jacobian of the texture coordinates by the pixel coordinates."""
    a, b = (along_x.square() + along_y.square()).unbind(0)
    c = (along_x[0] * along_x[1]) + (along_y[0] * along_y[1])
    return (((a + b) / 2) + (((a - b) / 2).square() + c.square()).sqrt()).clamp_min(0).sqrt()
