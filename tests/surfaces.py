"""Small meshes, maps and lights that several tests share."""

from __future__ import annotations

import math

import torch

from castex.light import EnvironmentLight, prefiltered
from castex.maps import TextureMaps
from castex.mesh import Mesh, with_tangents


def sphere(rows: int = 16, columns: int = 16) -> Mesh:
    """A unit sphere with longitude and latitude as texture coordinates."""
    theta = torch.linspace(0, math.pi, rows + 1, dtype=torch.float64)
    phi = torch.linspace(0, 2 * math.pi, columns + 1, dtype=torch.float64)
    t, p = torch.meshgrid(theta, phi, indexing="ij")
    position = torch.stack([t.sin() * p.sin(), t.cos(), t.sin() * p.cos()], -1).reshape(-1, 3).float()
    texcoord = torch.stack([p / (2 * math.pi), t / math.pi], -1).reshape(-1, 2).float()
    corner = torch.arange(rows)[:, None] * (columns + 1) + torch.arange(columns)[None]
    a, b, c, d = (corner + k for k in (0, 1, columns + 1, columns + 2))
    upper, lower = torch.stack([a, c, b], -1)[1:], torch.stack([b, c, d], -1)[:-1]
    triangles = torch.cat([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    return with_tangents(position, position, texcoord, triangles)


def bumpy(stream: torch.Generator) -> Mesh:
    """An open, irregular surface that occludes itself: a torn and dented sphere with its own normals."""
    smooth = sphere(10, 12)
    dent = 1 + 0.35 * torch.rand(len(smooth.v_position), 1, generator=stream)
    kept = torch.rand(len(smooth.t_vertex_idx), generator=stream) > 0.25
    position = smooth.v_position * dent
    position = position / position.abs().max()
    return with_tangents(position, smooth.v_normal, smooth.v_texcoord, smooth.t_vertex_idx[kept])


def random_maps(height: int, width: int, stream: torch.Generator, *, bump: float = 0.4) -> TextureMaps:
    """Maps with every value in range and bent normals."""
    draw = torch.rand(height, width, 8, generator=stream)
    normal = torch.cat([bump * (2 * draw[..., 5:7] - 1), torch.ones(height, width, 1)], dim=-1)
    return TextureMaps(
        draw[..., :3], draw[..., 3:4], draw[..., 4:5], torch.nn.functional.normalize(normal, dim=-1)
    )


def plain_maps(albedo: float, roughness: float, metallic: float, size: int = 8) -> TextureMaps:
    """The same value everywhere, flat normals."""
    normal = torch.tensor([0.0, 0.0, 1.0]).expand(size, size, 3).contiguous()
    one = torch.ones(size, size, 1)
    return TextureMaps(albedo * one.expand(-1, -1, 3), roughness * one, metallic * one, normal)


def random_light(stream: torch.Generator, side: int = 32) -> EnvironmentLight:
    """A light with features in every direction."""
    coarse = torch.rand(1, 3, 6, 12, generator=stream) * 2
    panorama = torch.nn.functional.interpolate(coarse, size=(32, 64), mode="bilinear")[0].permute(1, 2, 0)
    return prefiltered(panorama.contiguous(), side)


def constant_light(radiance: float = 1.0) -> EnvironmentLight:
    """The furnace: the same radiance from everywhere."""
    return prefiltered(torch.full((16, 32, 3), radiance), 32)
