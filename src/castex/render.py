"""Mesh and maps to images: visibility, G-buffer, texture lookup, shading.

Only texels receive gradients: the geometry is frozen, so visibility needs none. The same code runs on CPU
and CUDA; only the backend that names the visible triangles differs.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from castex.chunks import on_threads, pieces
from castex.errors import InputError
from castex.gather import Lookup, pyramid
from castex.light import EnvironmentLight
from castex.maps import TextureMaps
from castex.mesh import Mesh
from castex.protocols import Image
from castex.raster import GBuffer, Raster
from castex.shading import LightTables, pack, shade
from castex.shot import Shot
from castex.visibility import Visibility, visibility_of


class MeshRenderer:
    """Bound to a mesh and a light; call it with maps and a shot.

    Deterministic: on the CPU the image and the gradient of the maps are the same bits every time. Images are
    `views 3 size size`, linear [0, inf); the background is the shot's colour. No shadows, no interreflection,
    no silhouette antialiasing, no tone curve, as in the paper.
    """

    def __init__(
        self,
        mesh: Mesh,
        light: EnvironmentLight,
        size: int,
        *,
        visibility: Visibility | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.size = size
        self._device = mesh.v_position.device
        self._visibility = visibility_of(mesh) if visibility is None else visibility
        self._raster = Raster(mesh, dtype)
        self._tables = pack(light.diffuse, light.specular, light.brdf, dtype, self._device)
        self._dtype = dtype

    def __call__(self, maps: TextureMaps, shot: Shot) -> Image:
        """Render every view of `shot`; differentiable in `maps`."""
        return self.shaded(maps, self.buffer(shot), shot)

    @torch.no_grad()
    def buffer(self, shot: Shot) -> GBuffer:
        """The part that does not depend on the maps; reuse it to render several maps from one shot."""
        return self._raster(self._visibility(shot, self.size), shot)

    def shaded(self, maps: TextureMaps, buffer: GBuffer, shot: Shot) -> Image:
        """Look up and shade the covered pixels, put them over the background.

        InputError for maps with NaN or infinity: an index made from one could point anywhere.
        """
        stacked = maps.stacked()
        with torch.no_grad():
            if not torch.isfinite(stacked.sum()):
                raise InputError("the texture maps hold NaN or infinity; go back to the last good ones")
            height, width = maps.albedo.shape[:2]
            lookup = Lookup(buffer.gb_texcoord, buffer.gb_footprint, height, width)
        colour = shaded_pixels(lookup(pyramid(stacked)), buffer, self._tables, shot.light_rotation)
        views = len(shot)
        canvas = shot.background.to(self._device, self._dtype)[None].expand(views * self.size**2, 3)
        # Every pixel is written at most once, so that the transpose is a plain gather.
        flat = canvas.index_put((buffer.gb_pixel_idx,), colour.T)
        return flat.view(views, self.size, self.size, 3).permute(0, 3, 1, 2)

    @torch.no_grad()
    def depth(self, shot: Shot) -> Float[Tensor, "views 1 height width"]:
        """Distance from the camera's plane per pixel, in units of the mesh; 0 where nothing is seen."""
        return self._raster.depth(self._visibility(shot, self.size), shot)

    def coverage(self, buffer: GBuffer, views: int) -> Float[Tensor, "views 1 height width"]:
        """1 where a triangle covers the pixel, 0 elsewhere."""
        mask = torch.zeros(views * self.size**2, dtype=self._dtype, device=self._device)
        mask[buffer.gb_pixel_idx] = 1
        return mask.view(views, 1, self.size, self.size)


FARTHEST = 0.2
"""What a depth picture shows at the farthest visible point; the nearest is 1, the background 0."""


def depth_pictures(
    depth: Float[Tensor, "views 1 height width"],
) -> Float[Tensor, "views 1 height width"]:
    """Depths, 0 where nothing is seen, as the pictures that a depth ControlNet is shown.

    Inverse depth, stretched per view so that the nearest point is 1 and the farthest `FARTHEST`; the
    background is 0. A view without the object is black.
    """
    seen = depth > 0
    inverse = torch.where(seen, 1 / depth.where(seen, torch.ones_like(depth)), torch.zeros_like(depth))
    near = inverse.amax((1, 2, 3), keepdim=True)
    far = torch.where(seen, inverse, near).amin((1, 2, 3), keepdim=True)
    share = ((inverse - far) / (near - far).clamp_min(1e-6)).clamp(0, 1)
    return torch.where(seen, FARTHEST + (1 - FARTHEST) * share, torch.zeros_like(depth))


def shaded_pixels(
    texels: Float[Tensor, "pixels 8"], buffer: GBuffer, tables: LightTables, light_rotation: float
) -> Float[Tensor, "3 pixels"]:
    """Radiance of packed pixels from their looked-up maps (albedo, roughness, metallic, normal)."""
    if texels.is_cuda:
        return _shade_piece(texels, buffer, slice(None), tables, light_rotation)
    colour: Tensor = _Shading.apply(texels, buffer, tables, light_rotation)  # type: ignore[no-untyped-call]
    return colour


def _shade_piece(
    texels: Tensor, buffer: GBuffer, here: slice, tables: LightTables, light_rotation: float
) -> Tensor:
    channels = texels.T.contiguous()
    albedo, roughness, metallic, normal = torch.split(channels, [3, 1, 1, 3])
    frame = (buffer.gb_normal[:, here], buffer.gb_tangent[:, here], buffer.gb_view[:, here])
    return shade(albedo, roughness[0], metallic[0], normal, *frame, tables, light_rotation)


class _Shading(torch.autograd.Function):
    """Shading piece by piece; the backward pass shades again, so that no piece's graph is ever kept."""

    @staticmethod
    def forward(
        ctx: Any, texels: Tensor, buffer: GBuffer, tables: LightTables, light_rotation: float
    ) -> Tensor:
        ctx.save_for_backward(texels)
        ctx.rest = (buffer, tables, light_rotation)
        colour = texels.new_empty(3, len(texels))

        def fill(here: slice) -> None:
            with torch.no_grad():
                colour[:, here] = _shade_piece(texels[here], buffer, here, tables, light_rotation)

        on_threads(fill, pieces(len(texels), texels.device))
        return colour

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (texels,) = ctx.saved_tensors
        buffer, tables, light_rotation = ctx.rest
        result = torch.empty_like(texels)

        def fill(here: slice) -> None:
            with torch.enable_grad():
                leaf = texels[here].detach().requires_grad_()
                colour = _shade_piece(leaf, buffer, here, tables, light_rotation)
                (result[here],) = torch.autograd.grad(colour, leaf, gradient[:, here])

        on_threads(fill, pieces(len(texels), texels.device))
        return result, None, None, None
