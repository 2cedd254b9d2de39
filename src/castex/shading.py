"""Physically based shading of packed pixels: GGX split sum with the metallic workflow, from the formulas.

Karis 2013 (split sum), Walter 2007 (GGX), Heitz 2014 (height-correlated Smith), Burley 2012 (alpha =
roughness^2), Schlick (Fresnel). Everything is linear light; nothing is clamped, gamma-encoded or tone-mapped.
Arrays are `channels pixels`: a dot product is then a sum over the first axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castex import cubemap

TABLE_SIDE = 256
DIELECTRIC = 0.04
# Roughness is floored only here: at 0 the lobe is a point that no finite table holds.
SMALLEST_ROUGHNESS = 1e-3
SMALLEST_SQUARE = 1e-30
# A normal this short (squared) has no direction that means anything.
VANISHING = 1e-12
Vector = Float[Tensor, "3 pixels"]
Scalar = Float[Tensor, "pixels"]


@dataclass(frozen=True)
class LightTables:
    """An environment light packed for lookups: padded cube faces of all levels in one table."""

    diffuse: Float[Tensor, "3 texels"]
    diffuse_side: int
    specular: Float[Tensor, "3 all_texels"]
    sides: tuple[int, ...]
    offsets: tuple[int, ...]
    brdf: Float[Tensor, "2 entries"]


def pack(
    diffuse: cubemap.Cube,
    specular: cubemap.Cubes,
    brdf: Float[Tensor, "roughness cosine 2"],
    dtype: torch.dtype,
    device: torch.device,
) -> LightTables:
    """Pad the faces, put the levels behind each other."""
    levels = [cubemap.padded(level.cpu()).reshape(-1, 3) for level in specular]
    offsets = [0]
    for level in levels[:-1]:
        offsets.append(offsets[-1] + len(level))

    def columns(table: Tensor) -> Tensor:
        return table.T.to(device, dtype).contiguous()

    return LightTables(
        columns(cubemap.padded(diffuse.cpu()).reshape(-1, 3)),
        diffuse.shape[1],
        columns(torch.cat(levels)),
        tuple(level.shape[1] for level in specular),
        tuple(offsets),
        columns(brdf.reshape(-1, 2)),
    )


def shade(
    albedo: Vector,
    roughness: Scalar,
    metallic: Scalar,
    normal: Vector,
    frame_normal: Vector,
    frame_tangent: Vector,
    view: Vector,
    tables: LightTables,
    light_rotation: float,
) -> Vector:
    """Outgoing radiance towards the viewer, linear [0, inf).

    `normal` is the tangent-space texel, `frame_normal`, `frame_tangent` and `view` are unit vectors of the
    object's frame; the light is looked up in the direction turned by `light_rotation` about +Y.
    """
    shading_normal = _shading_normal(normal, frame_normal, frame_tangent)
    cosine = _dot(shading_normal, view)
    reflected = 2 * cosine * shading_normal - view
    rough = roughness.clamp_min(SMALLEST_ROUGHNESS)
    diffuse = (1 - metallic) * albedo * diffuse_light(turned(shading_normal, light_rotation), tables)
    f0 = DIELECTRIC * (1 - metallic) + metallic * albedo
    scale, bias = brdf_lookup(cosine, rough, tables)
    specular = specular_light(turned(reflected, light_rotation), rough, tables) * (f0 * scale + bias)
    return diffuse + specular


def _shading_normal(normal: Vector, frame_normal: Vector, frame_tangent: Vector) -> Vector:
    """N = normalize(T n_x - B n_y + N_s n_z) with B = normalize(T x N_s).

    A texel whose mean over opposite directions has no length shades with the surface's own normal.
    """
    bitangent = unit(torch.linalg.cross(frame_tangent, frame_normal, dim=0))
    x, y, z = normal.unbind(0)
    bent = frame_tangent * x - bitangent * y + frame_normal * z
    return unit(torch.where(_dot(bent.detach(), bent.detach()) > VANISHING, bent, frame_normal))


def unit(vector: Vector) -> Vector:
    """Vectors of length 1 (zero stays zero); many times faster than torch's norm over a first axis of 3."""
    squares: Tensor = (vector * vector).sum(0)
    return vector * squares.clamp_min(SMALLEST_SQUARE).rsqrt()


def _dot(a: Vector, b: Vector) -> Scalar:
    return (a * b).sum(0)


def turned(direction: Vector, angle: float) -> Vector:
    """Rotate about +Y: +Z goes towards +X."""
    if angle == 0:
        return direction
    x, y, z = direction.unbind(0)
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x])


def diffuse_light(direction: Vector, tables: LightTables) -> Vector:
    """Cosine-weighted mean radiance E(N), already divided by pi."""
    rows, weights = cubemap.taps(*cubemap.locate(direction), tables.diffuse_side, 0)
    return _mix(rows, weights, tables.diffuse)


def specular_light(direction: Vector, roughness: Scalar, tables: LightTables) -> Vector:
    """Trilinear lookup of the prefiltered chain; the level is piecewise linear in the roughness."""
    last = len(tables.sides) - 1
    knee = (roughness.clamp(0.08, 0.5) - 0.08) / 0.42 * (last - 1)
    level = knee + (roughness.clamp(0.5, 1.0) - 0.5) / 0.5
    low = level.detach().int().clamp_max(last - 1)
    fraction = level - low
    sides, offsets = (
        torch.tensor(values, dtype=torch.int32, device=direction.device)
        for values in (tables.sides, tables.offsets)
    )
    face, st = cubemap.locate(direction)
    (rows0, weights0), (rows1, weights1) = (
        cubemap.taps(face, st, sides.index_select(0, level), offsets.index_select(0, level))
        for level in (low, low + 1)
    )
    blended = [weight * (1 - fraction) for weight in weights0] + [weight * fraction for weight in weights1]
    return _mix(rows0 + rows1, blended, tables.specular)


def brdf_lookup(cosine: Scalar, roughness: Scalar, tables: LightTables) -> tuple[Scalar, Scalar]:
    """Scale and bias of F0, bilinear at (N.V, roughness), clamped at the table's rim."""
    side = TABLE_SIDE
    column = (cosine.clamp(0, 1) * side - 0.5).clamp(0, side - 1)
    row = (roughness.clamp(0, 1) * side - 0.5).clamp(0, side - 1)
    left = column.detach().int().clamp_max(side - 2)
    top = row.detach().int().clamp_max(side - 2)
    s, t = column - left, row - top
    first = top * side + left
    both = s * t
    weights = [1 - s - t + both, s - both, t - both, both]
    scale, bias = _mix([first, first + 1, first + side, first + side + 1], weights, tables.brdf).unbind(0)
    return scale, bias


def _mix(rows: list[Tensor], weights: list[Tensor], table: Tensor) -> Tensor:
    """Weighted sums of table rows, `channels pixels`; the gradient goes to the weights alone."""
    mixed: Tensor = _Mix.apply(torch.stack(weights), torch.stack(rows), table)  # type: ignore[no-untyped-call]
    return mixed


class _Mix(torch.autograd.Function):
    """Channel by channel: gathering single numbers is several times faster than gathering rows of three."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, rows: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(rows, table)
        flat = rows.flatten()
        gathered = (column.index_select(0, flat).view_as(rows) for column in table.unbind(0))
        return torch.stack([values.mul_(weights).sum(0) for values in gathered])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, table = ctx.saved_tensors
        flat = rows.flatten()
        gathered = (column.index_select(0, flat).view_as(rows) for column in table.unbind(0))
        parts = [values.mul_(gradient[channel]) for channel, values in enumerate(gathered)]
        return sum(parts[1:], parts[0]), None, None


@lru_cache(maxsize=1)
def brdf_table() -> Float[Tensor, "roughness cosine 2"]:
    """Split-sum table (A, B) at texel centres: rows are roughness, columns N.V, 256 x 256, float32.

    Karis's integral over the GGX lobe, E[G (V.H) / ((N.H)(N.V)) (1 - Fc)] and the same with Fc = (1-V.H)^5,
    half vectors drawn from D (N.H); Gauss-Legendre in the radial, midpoints in the azimuthal variable.
    """
    centre = (np.arange(TABLE_SIDE) + 0.5) / TABLE_SIDE
    node, weight = np.polynomial.legendre.leggauss(48)
    # The substitution u = 1 - (1 - s)^2 puts nodes where the lobe's tail bends.
    s = (node + 1) / 2
    radial, radial_weight = 1 - (1 - s) ** 2, weight / 2 * 2 * (1 - s)
    cos_phi = np.cos((np.arange(32) + 0.5) / 32 * np.pi)
    rows = [_table_row(rough, centre, radial, radial_weight, cos_phi) for rough in centre]
    return torch.from_numpy(np.stack(rows)).float()


def _table_row(
    roughness: float, cosine: np.ndarray, radial: np.ndarray, radial_weight: np.ndarray, cos_phi: np.ndarray
) -> np.ndarray:
    alpha2 = roughness**4
    n_h = np.sqrt((1 - radial) / (1 + (alpha2 - 1) * radial))[None, :, None]
    n_v = cosine[:, None, None]
    sin_h, sin_v = np.sqrt(1 - n_h**2), np.sqrt(1 - n_v**2)
    v_h = np.maximum(sin_v * sin_h * cos_phi + n_v * n_h, 1e-12)
    n_l = 2 * v_h * n_h - n_v
    lit = n_l > 0
    n_l = np.maximum(n_l, 1e-12)
    smith = n_v * np.sqrt(alpha2 + (1 - alpha2) * n_l**2) + n_l * np.sqrt(alpha2 + (1 - alpha2) * n_v**2)
    masking = 2 * n_l * n_v / smith
    visible = np.where(lit, masking * v_h / (n_h * n_v), 0.0)
    fresnel = (1 - v_h) ** 5
    both = np.stack([visible * (1 - fresnel), visible * fresnel], axis=1)
    return np.asarray((both.mean(3) * radial_weight).sum(2))
