"""Renders for people and for metrics: supersampled, composited, sRGB-encoded. Not what guidance sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.light import EnvironmentLight
from castex.maps import TextureMaps, linear_to_srgb, srgb_to_linear
from castex.mesh import Mesh
from castex.protocols import Image
from castex.render import MeshRenderer
from castex.shot import Shot

BLACK = torch.zeros(3)
AIR = 1.03
LARGEST_RENDER = 4096
Alpha = Float[Tensor, "views 1 height width"]


def photographs(
    mesh: Mesh,
    maps: TextureMaps,
    light: EnvironmentLight,
    shot: Shot,
    *,
    size: int,
    supersample: int = 2,
) -> Iterator[tuple[Image, Alpha]]:
    """One view at a time: the sRGB-encoded picture over the shot's background, and its coverage in [0, 1].

    Each pixel is the mean of `supersample`^2 samples of linear light, clamped to [0, 1] *before* the mean, so
    that a single bright sample does not make an edge pixel white; the background is linear light too.
    Large pictures get fewer samples, to stay within 2 GB.
    """
    supersample = max(1, min(supersample, LARGEST_RENDER // size))
    renderer = MeshRenderer(mesh, light, size * supersample)
    alone = dataclasses.replace(shot, background=BLACK)
    for view in range(len(shot)):
        with torch.no_grad():
            buffer = renderer.buffer(alone.view(view))
            colour = renderer.shaded(maps, buffer, alone.view(view)).clamp(0, 1)
            alpha = renderer.coverage(buffer, 1)
        colour, alpha = (F.avg_pool2d(values, supersample).cpu() for values in (colour, alpha))
        yield linear_to_srgb(colour + (1 - alpha) * shot.background[:, None, None]), alpha


def straight(
    picture: Image, alpha: Alpha, background: Float[Tensor, "3"]
) -> Float[Tensor, "views 4 height width"]:
    """A photograph as straight RGBA, sRGB-encoded, with the (linear) background taken out again."""
    premultiplied = srgb_to_linear(picture) - (1 - alpha) * background[:, None, None]
    colour = linear_to_srgb(premultiplied / alpha.clamp_min(1e-6)) * (alpha > 0)
    return torch.cat([colour, alpha], dim=1)


def fitting_distance(mesh: Mesh, fov: float) -> float:
    """Distance from the origin at which the whole object is in view from any side, with a little air."""
    radius = float(mesh.v_position.norm(dim=1).max())
    return AIR * radius / math.sin(math.radians(fov) / 2)


def sheet(pictures: list[Image], columns: int) -> Float[Tensor, "1 3 sheet_height sheet_width"]:
    """Pictures side by side in rows of `columns`, white where the last row ends early."""
    blank = torch.ones_like(pictures[0])
    cells = pictures + [blank] * (-len(pictures) % columns)
    rows = [torch.cat(cells[k : k + columns], dim=3) for k in range(0, len(cells), columns)]
    return torch.cat(rows, dim=2)
