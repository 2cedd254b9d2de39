"""Procedural materials: a name, a colour and a seed become the four texture maps of a mesh.

Patterns live in the normalised frame (longest side 2). None is finer than `FINEST`: about three pixels
where an object fills a picture of 32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from castex.bake import atlas, dilated
from castex.errors import InputError
from castex.maps import TextureMaps, srgb_to_linear
from castex.mesh import Mesh
from castex.training.patterns import PATTERNS, Samples, Surface

MATERIALS = tuple(name for name, _ in PATTERNS)
COLOURS = {
    "red": (0.80, 0.09, 0.08),
    "green": (0.13, 0.55, 0.17),
    "blue": (0.10, 0.27, 0.80),
    "yellow": (0.96, 0.81, 0.10),
    "orange": (0.95, 0.46, 0.05),
    "purple": (0.50, 0.17, 0.66),
    "white": (0.92, 0.92, 0.90),
    "black": (0.07, 0.07, 0.08),
}
"""Named colours as sRGB values; `linear_colour` converts them."""
FINEST = 0.25
# The step of finite differences of the height, relative to the finest period.
STEP = 0.03
# A body of revolution: its axis is missed by less than MISS by the normals of this share of its walls, which
# are points whose normal has a horizontal part of at least STEEP.
MISS, REVOLVED, STEEP, ROUNDS = 0.04, 0.5, 0.5, 20


def linear_colour(name: str) -> Float[Tensor, "3"]:
    """The linear RGB of a named colour; InputError for an unknown name."""
    if name not in COLOURS:
        raise InputError(f"there is no colour called {name!r}; choose from {', '.join(COLOURS)}")
    return srgb_to_linear(torch.tensor(COLOURS[name]))


def evaluate(
    material: str,
    colour: str,
    position: Float[Tensor, "points 3"],
    normal: Float[Tensor, "points 3"],
    *,
    seed: int,
    finest: float = FINEST,
    axis: tuple[float, float] | None = None,
) -> Samples:
    """A material at surface points with unit normals, in the normalised frame.

    The colour dominates every material but two: gold and rust keep their own, it tints the alloy and the
    bare metal. `seed` moves the pattern; `finest` is the shortest period that it may have; on a body of
    revolution flat patterns go around its upright axis at (x, z) = `axis`.
    """
    for name, pattern in PATTERNS:
        if name == material:
            tint = linear_colour(colour).to(position)
            return pattern(Surface(position, normal, tint, seed, finest, axis))
    raise InputError(f"there is no material called {material!r}; choose from {', '.join(MATERIALS)}")


@dataclass(frozen=True)
class TexelPoints:
    """Where the texels of an atlas lie on the surface, with the tangent frame there; one row per texel."""

    filled: Bool[Tensor, "size size"]
    """Texels inside an island; the rows below follow them row by row."""
    position: Float[Tensor, "texels 3"]
    normal: Float[Tensor, "texels 3"]
    tangent: Float[Tensor, "texels 3"]
    axis: tuple[float, float] | None
    """Where (x, z) the axis stands if the object is a body of revolution, see `revolution_axis`."""


def texel_points(mesh: Mesh, size: int) -> TexelPoints:
    """The surface points of a `size` x `size` atlas of the mesh: made once, used for any number of materials.

    InputError for texture coordinates that overlap everywhere.
    """
    layout = atlas(mesh.v_texcoord.cpu().numpy(), mesh.t_vertex_idx.cpu().numpy(), size)
    index = torch.from_numpy(layout.texel_triangle_idx).long()
    filled = index >= 0
    weight = torch.from_numpy(layout.texel_barycentric)[filled][..., None]
    corner = mesh.t_vertex_idx.cpu()[index[filled]]
    position, normal, tangent = (
        (values.cpu()[corner] * weight).sum(1) for values in (mesh.v_position, mesh.v_normal, mesh.v_tangent)
    )
    normal = normalize(normal, dim=1)
    tangent = normalize(tangent - (tangent * normal).sum(1, keepdim=True) * normal, dim=1)
    return TexelPoints(filled, position, normal, tangent, revolution_axis(position, normal))


def revolution_axis(
    position: Float[Tensor, "points 3"], normal: Float[Tensor, "points 3"]
) -> tuple[float, float] | None:
    """(x, z) of the upright axis that the normals of most walls meet: a vase has one, a house has none."""
    wall = normal[:, [0, 2]].norm(dim=1) > STEEP
    place = position[wall][:, [0, 2]].double()
    away = normalize(normal[wall][:, [0, 2]].double(), dim=1)
    # A normal meets the axis where the axis has no component across it: solved in least absolute misses, so
    # that a handle does not pull the axis off the body.
    across = torch.stack([-away[:, 1], away[:, 0]], dim=1)
    offset = (across * place).sum(1)
    axis, miss = torch.zeros(2, dtype=torch.float64), torch.ones_like(offset)
    for _ in range(ROUNDS):
        weight = 1 / miss.clamp_min(MISS / 4)[:, None]
        axis = torch.linalg.pinv(across.T @ (weight * across)) @ (across.T @ (weight[:, 0] * offset))
        miss = (offset - across @ axis).abs()
    round_share = float((miss < MISS).double().mean()) if len(miss) else 0.0
    return (float(axis[0]), float(axis[1])) if round_share > REVOLVED else None


def material_maps(
    points: TexelPoints, material: str, colour: str, *, seed: int, finest: float = FINEST
) -> TextureMaps:
    """The maps of a mesh in a material; texels beyond the islands repeat their nearest neighbour.

    Relief becomes the tangent-space normal of `castex.shading`: x along the tangent, y along normal x
    tangent, slopes by central differences.
    """

    def sampled(position: Float[Tensor, "texels 3"]) -> Samples:
        """The material at points near those of the texels."""
        return evaluate(material, colour, position, points.normal, seed=seed, finest=finest, axis=points.axis)

    samples, step = sampled(points.position), STEP * finest
    slopes = [
        (sampled(points.position + step * way).height - sampled(points.position - step * way).height)
        / (2 * step)
        for way in (points.tangent, torch.linalg.cross(points.normal, points.tangent))
    ]
    normal = normalize(torch.cat([-slopes[0], -slopes[1], torch.ones_like(slopes[0])], dim=1), dim=1)
    values = torch.zeros(*points.filled.shape, 8)
    values[points.filled] = torch.cat([samples.albedo, samples.roughness, samples.metallic, normal], dim=1)
    whole = torch.from_numpy(dilated(values.numpy(), points.filled.numpy()))
    albedo, roughness, metallic, relief = (
        whole[..., a:b].contiguous() for a, b in ((0, 3), (3, 4), (4, 5), (5, 8))
    )
    return TextureMaps(albedo, roughness, metallic, relief)
