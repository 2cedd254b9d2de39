"""Twelve surfaces as functions of a point in space: colour, roughness, metalness and height.

Solid textures: nothing depends on an atlas, so no seam shows. Flat patterns (checks, dots, bricks, weave)
are projected along the axis that the surface faces most, which wraps them around walls; on a body of
revolution they go around its axis instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from castex.training.noise import Points, Values, cellular, draw, fractal, uniform

Colour = Float[Tensor, "3"]

# Linear colours.
WHITE, GREY, MORTAR = (0.80, 0.79, 0.76), (0.16, 0.17, 0.19), (0.50, 0.48, 0.45)
INK, TAN = (0.016, 0.014, 0.013), (0.42, 0.24, 0.09)
LIGHT_WOOD, DARK_WOOD = (0.50, 0.27, 0.11), (0.13, 0.052, 0.020)
GOLD, STEEL = (1.0, 0.70, 0.25), (0.52, 0.52, 0.53)
RUST, OCHRE = (0.13, 0.032, 0.010), (0.36, 0.12, 0.030)
# Steeper than this a surface is a wall; flatter ones are seen from above.
WALL, LEVEL = 0.8, 0.985
# The radius at which patterns around a body of revolution have their true width.
BODY = 0.62


@dataclass(frozen=True)
class Samples:
    """Albedo (linear, [0, 1]), roughness and metallic [0, 1], height in units of the object, per point."""

    albedo: Float[Tensor, "points 3"]
    roughness: Float[Tensor, "points 1"]
    metallic: Float[Tensor, "points 1"]
    height: Float[Tensor, "points 1"]


@dataclass(frozen=True)
class Surface:
    """What a pattern may look at: points, unit normals, colour, seed, and the unit of length of patterns."""

    position: Points
    normal: Points
    colour: Colour
    seed: int
    unit: float
    """The shortest period that a pattern may have."""
    axis: tuple[float, float] | None = None
    """Where (x, z) the upright axis stands, if the object is a body of revolution."""

    def constant(self, rgb: tuple[float, float, float]) -> Colour:
        """A colour where the points are."""
        return torch.tensor(rgb, dtype=self.position.dtype, device=self.position.device)

    @property
    def bright(self) -> bool:
        """Whether the colour is so light that a second one must be dark to show."""
        return bool(luminance(self.colour) > 0.55)


def luminance(colour: Colour) -> Float[Tensor, ""]:
    """Relative luminance of a linear colour (Rec. 709)."""
    return (colour * torch.tensor([0.2126, 0.7152, 0.0722]).to(colour)).sum()


def mixed(low: Tensor, high: Tensor, share: Values) -> Float[Tensor, "points 3"]:
    """`low` where the share is 0, `high` where it is 1."""
    return low + share[:, None] * (high - low)


def rise(value: Values, start: float, end: float) -> Values:
    """0 below `start`, 1 above `end`, smooth between."""
    t = ((value - start) / (end - start)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def square_wave(phase: Values, softness: float) -> Values:
    """0 or 1 by turns, each for half a period of 1, with smooth edges `softness` wide."""
    return rise(0.25 - (phase - phase.floor() - 0.5).abs(), -softness / 2, softness / 2)


def facing(surface: Surface, width: float, height: float) -> tuple[Values, Values]:
    """Coordinates (across, up) of a flat pattern in units of its periods `width` and `height`.

    On a wall up is y and across runs along it; on a level surface both are those of a map. A period around
    a body of revolution is stretched so that a whole, even number of them closes, with a third of
    them where the body is slender.
    """
    x, y, z = surface.position.unbind(1)
    a, b, c = surface.normal.abs().unbind(1)
    level = b > WALL
    across = torch.where(a > c, z, x) / width
    if surface.axis is not None:
        dx, dz = x - surface.axis[0], z - surface.axis[1]
        radius = torch.hypot(dx, dz).clamp_min(1e-6)
        ring = BODY * 3 ** ((radius / BODY).log() / math.log(3)).round()
        count = 2 * (torch.pi * ring / width).round().clamp_min(1)
        across = torch.atan2(dx, dz) / (2 * torch.pi) * count
    return torch.where(level, x / width, across), torch.where(level, z, y) / height


def _filled(surface: Surface, value: float) -> Values:
    return torch.full_like(surface.position[:, 0], value)


def _samples(albedo: Tensor, roughness: Values, metallic: Values, height: Values) -> Samples:
    return Samples(albedo.clamp(0, 1), roughness[:, None], metallic[:, None], height[:, None])


def _second(surface: Surface) -> Colour:
    """The partner in a pattern of two colours: white, and grey beside white."""
    return surface.constant(GREY if surface.bright and surface.colour.min() > 0.5 else WHITE)


def _two_colours(surface: Surface, share: Values, roughness: float, relief: float = 0.0) -> Samples:
    albedo = mixed(surface.colour, _second(surface), share)
    return _samples(albedo, _filled(surface, roughness), _filled(surface, 0.0), relief * share)


def plain(surface: Surface) -> Samples:
    """One colour, satin."""
    albedo = surface.colour.expand_as(surface.position)
    return _samples(albedo, _filled(surface, 0.45), _filled(surface, 0.0), _filled(surface, 0.0))


def striped(surface: Surface) -> Samples:
    """Level bands of the colour and white; on a level top they run across."""
    _, y, z = surface.position.unbind(1)
    along = torch.where(surface.normal[:, 1].abs() > LEVEL, z, y)
    period = surface.unit * (1.35 + 0.5 * draw(surface.seed, 0))
    return _two_colours(surface, square_wave(along / period + draw(surface.seed, 1), 0.08), 0.5)


def checkered(surface: Surface) -> Samples:
    """Squares of the colour and white."""
    side = surface.unit * (1.0 + 0.3 * draw(surface.seed, 0))
    across, up = facing(surface, 2 * side, 2 * side)
    first = square_wave(across + 0.25, 0.08)
    second = square_wave(up + draw(surface.seed, 1), 0.08)
    return _two_colours(surface, first + second - 2 * first * second, 0.4)


def dotted(surface: Surface) -> Samples:
    """White dots in staggered rows on the colour."""
    pitch = surface.unit * (1.7 + 0.3 * draw(surface.seed, 0))
    across, up = facing(surface, pitch, 0.866 * pitch)
    up = up + draw(surface.seed, 1)
    row = up.floor()
    across = across + 0.5 * (row - 2 * (row / 2).floor())
    local = torch.stack([across - across.round(), (up - row - 0.5) * 0.866], dim=1).norm(dim=1)
    return _two_colours(surface, 1 - rise(local, 0.29, 0.34), 0.35)


def brick(surface: Surface) -> Samples:
    """Running bond: bricks of the colour, each a little different, in recessed mortar."""
    height = surface.unit * (1.15 + 0.25 * draw(surface.seed, 0))
    length, joint = 2.1 * height, 0.24
    across, up = facing(surface, length, height)
    up = up + draw(surface.seed, 1)
    row = up.floor()
    across = across + 0.5 * (row - 2 * (row / 2).floor())
    column = across.floor()
    edge_up = 0.5 - (up - row - 0.5).abs()
    edge_across = (0.5 - (across - column - 0.5).abs()) * length / height
    face = rise(torch.minimum(edge_up, edge_across), joint / 2 - 0.05, joint / 2 + 0.05)
    cell = torch.stack([column.long(), row.long(), torch.zeros_like(row.long())], dim=1)
    shade = 0.72 + 0.5 * uniform(cell, surface.seed + 3).to(up)
    grain = 1 + 0.18 * fractal(surface.position / surface.unit, surface.seed + 5)
    body = surface.colour * (shade * grain)[:, None]
    mortar = surface.constant(GREY if surface.bright and surface.colour.min() > 0.5 else MORTAR)
    albedo = mixed(mortar, body, face)
    return _samples(albedo, 0.95 - 0.15 * face, _filled(surface, 0.0), 0.14 * surface.unit * face)


def wooden(surface: Surface) -> Samples:
    """Growth rings about an upright axis, so that walls show grain; stained by the colour."""
    seed, unit = surface.seed, surface.unit
    place = surface.position.new_tensor([0.25 + 0.5 * draw(seed, 0), 0.0, -0.3 - 0.5 * draw(seed, 1)])
    stretched = surface.position * surface.position.new_tensor([1.3, 0.4, 1.3]) / (2.4 * unit)
    offset = surface.position - place
    radius = offset[:, [0, 2]].norm(dim=1) + 0.12 * surface.position[:, 1]
    ring = radius / (1.05 * unit) + 0.85 * fractal(stretched, seed)
    ring = ring - ring.floor()
    # Early wood darkens slowly, late wood ends at an edge.
    late = rise(ring, 0.15, 0.85) * (1 - rise(ring, 0.86, 1.0))
    light = 0.22 * surface.constant(LIGHT_WOOD) + 0.78 * surface.colour
    dark = 0.3 * surface.constant(DARK_WOOD) + 0.14 * surface.colour
    albedo = mixed(light, dark, late)
    return _samples(albedo, 0.5 + 0.15 * late, _filled(surface, 0.0), -0.03 * unit * late)


def marble(surface: Surface) -> Samples:
    """Polished stone with wandering veins: light ones in dark stone, dark ones in light stone."""
    seed, unit = surface.seed, surface.unit
    warp = fractal(surface.position / (2.6 * unit), seed, octaves=2)
    turn = surface.position.new_tensor([0.55 + 0.3 * draw(seed, 0), 0.75, 0.35 - 0.5 * draw(seed, 1)])
    phase = surface.position @ turn / (2.3 * unit) + 0.75 * warp
    vein = 1 - rise((phase - phase.round()).abs(), 0.015, 0.15)
    cloud = 0.5 + 0.5 * fractal(surface.position / (2.5 * unit) + 11.3, seed + 9)
    stone = surface.colour * (0.78 + 0.3 * cloud)[:, None]
    light = bool(luminance(surface.colour) > 0.3)
    line = surface.colour * 0.16 + 0.02 if light else 0.35 * surface.colour + 0.6 * surface.constant(WHITE)
    return _samples(
        mixed(stone, line, 0.92 * vein), _filled(surface, 0.16), _filled(surface, 0.0), _filled(surface, 0.0)
    )


def zebra(surface: Surface) -> Samples:
    """Wavering black stripes on the colour (white ones on black)."""
    seed, unit = surface.seed, surface.unit
    warp = fractal(surface.position / (3.0 * unit), seed)
    turn = surface.position.new_tensor([0.45, 1.0, 0.5 * draw(seed, 0) - 0.25])
    phase = surface.position @ (turn / turn.norm()) / (1.3 * unit) + 0.6 * warp + draw(seed, 1)
    width = 0.08 * fractal(surface.position / (2 * unit), seed + 4)
    wave = 0.25 - (phase - phase.floor() - 0.5).abs() + width - 0.02
    dark = bool(luminance(surface.colour) < 0.03)
    stripe = rise(wave - (0.07 if dark else 0.0), -0.03, 0.03)
    albedo = mixed(surface.colour, surface.constant(WHITE if dark else INK), stripe)
    return _samples(albedo, 0.75 + 0.1 * stripe, _filled(surface, 0.0), _filled(surface, 0.0))


def leopard(surface: Surface) -> Samples:
    """Broken dark rings around darker centres on the colour (tan rings on black)."""
    seed, unit = surface.seed, surface.unit
    wobble = 0.1 * fractal(surface.position / unit, seed + 2)
    distance, _ = cellular(surface.position / (1.7 * unit), seed, jitter=0.5)
    distance = distance + wobble
    ring = rise(distance, 0.24, 0.30) * (1 - rise(distance, 0.46, 0.52))
    gap = rise(fractal(surface.position / (1.2 * unit) + 5.7, seed + 6), -0.4, -0.25)
    inside = 1 - rise(distance, 0.26, 0.32)
    dark = bool(luminance(surface.colour) < 0.03)
    centre = surface.colour * 0.45 + (0.1 if dark else 0.0) * surface.constant(TAN)
    base = mixed(surface.colour, centre, inside)
    albedo = mixed(base, surface.constant(TAN if dark else INK), ring * gap)
    return _samples(albedo, _filled(surface, 0.8), _filled(surface, 0.0), _filled(surface, 0.0))


def rusty(surface: Surface) -> Samples:
    """Patches of brown oxide over bare metal that the colour tints: the oxide keeps its own colour."""
    seed, unit = surface.seed, surface.unit
    patch = fractal(surface.position / (2.0 * unit), seed, octaves=3)
    oxide = rise(patch, -0.14, 0.04)
    tone = rise(fractal(surface.position / (1.3 * unit) + 3.1, seed + 8), -0.35, 0.35)
    rust = mixed(surface.constant(RUST), surface.constant(OCHRE), tone)
    metal = 0.3 * surface.constant(STEEL) + 0.7 * surface.colour
    albedo = mixed(metal.expand_as(rust), rust, oxide)
    height = 0.05 * unit * oxide * (1 + 0.6 * tone)
    return _samples(albedo, 0.38 + 0.52 * oxide, 1 - oxide, height)


def golden(surface: Surface) -> Samples:
    """Hammered gold; the colour only tints the alloy."""
    dent, _ = cellular(surface.position / (1.25 * surface.unit), surface.seed, jitter=0.7)
    albedo = 0.84 * surface.constant(GOLD) + 0.16 * surface.colour
    height = 0.08 * surface.unit * dent**2
    return _samples(albedo.expand_as(surface.position), _filled(surface, 0.25), _filled(surface, 1.0), height)


def denim(surface: Surface) -> Samples:
    """Twill in a coarse diagonal weave, dyed with the colour and washed out in patches."""
    seed, unit = surface.seed, surface.unit
    across, up = facing(surface, 1.45 * unit, 1.45 * unit)
    rib = 0.5 + 0.5 * torch.cos(2 * torch.pi * (across + up + draw(seed, 0)))
    worn = rise(fractal(surface.position / (2.6 * unit), seed), -0.1, 0.6)
    thread = 0.72 * surface.colour + 0.2 * surface.constant(WHITE)
    light = (0.5 * worn + 0.55 * rib).clamp(0, 1)
    albedo = mixed(0.38 * surface.colour, thread, light)
    return _samples(albedo, _filled(surface, 0.95), _filled(surface, 0.0), 0.05 * unit * rib)


PATTERNS: tuple[tuple[str, Callable[[Surface], Samples]], ...] = (
    ("plain", plain),
    ("striped", striped),
    ("checkered", checkered),
    ("dotted", dotted),
    ("brick", brick),
    ("wooden", wooden),
    ("marble", marble),
    ("zebra", zebra),
    ("leopard", leopard),
    ("rusty", rusty),
    ("golden", golden),
    ("denim", denim),
)
