"""Noise in space from a hash of lattice cells: no table, no state, the same numbers on every machine.

Every function takes points (n, 3) and an integer seed, and varies over a length of about 1.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

Points = Float[Tensor, "points 3"]
Values = Float[Tensor, " points"]

MASK = 0xFFFFFFFF
# Odd multipliers below 2^31: a product with 32 bits stays within int64.
PRIMES = (73856093, 19349663, 83492791)
MIXERS = (0x7FEB352D, 0x6C8E9CF5)
EDGES = torch.tensor(
    [[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if abs(x) + abs(y) + abs(z) == 2],
    dtype=torch.float64,
)


def hashed(cell: Int[Tensor, "points 3"], seed: int) -> Int[Tensor, " points"]:
    """32 well mixed bits of each lattice cell."""
    bits = torch.full(cell.shape[:1], (seed * 2654435761 + 0x9E3779B9) & MASK, dtype=torch.int64)
    bits = bits.to(cell.device)
    for k, prime in enumerate(PRIMES):
        bits = bits ^ ((cell[:, k] & MASK) * prime & MASK)
        for mixer in MIXERS:
            bits = ((bits ^ (bits >> 16)) * mixer) & MASK
    return bits ^ (bits >> 15)


def uniform(cell: Int[Tensor, "points 3"], seed: int) -> Values:
    """A number in [0, 1) for each lattice cell."""
    return (hashed(cell, seed).double() / 2**32).float().clamp_max(1 - 2**-24)


def draw(seed: int, index: int) -> float:
    """The `index`-th number in [0, 1) of a seed: for phases and offsets of a whole pattern."""
    return float(uniform(torch.tensor([[index, 0, 0]]), seed ^ 0x5BD1)[0])


def gradient_noise(points: Points, seed: int) -> Values:
    """Gradient noise in [-1, 1] with period 1: 0 at lattice points, smooth between."""
    low = points.floor()
    inside, cell = points - low, low.long()
    fade = inside**3 * (inside * (inside * 6 - 15) + 10)
    edges = EDGES.to(points)
    total = torch.zeros_like(points[:, 0])
    for corner in itertools.product((0, 1), repeat=3):
        step = torch.tensor(corner, device=points.device)
        slope = edges[hashed(cell + step, seed) % len(EDGES)]
        weight = torch.where(step == 1, fade, 1 - fade).prod(1)
        total = total + weight * (slope * (inside - step)).sum(1)
    return total.clamp(-1, 1)


def fractal(points: Points, seed: int, octaves: int = 2) -> Values:
    """Gradient noise plus octaves of half the size and half the strength, in about [-1, 1]."""
    total, strength = torch.zeros_like(points[:, 0]), 1.0
    for octave in range(octaves):
        total = total + strength * gradient_noise(points * 2**octave, seed + 101 * octave)
        strength /= 2
    return total


def cellular(points: Points, seed: int, jitter: float = 0.8) -> tuple[Values, Values]:
    """Distance to the nearest of the jittered centres of unit cells, and a number in [0, 1) of its cell."""
    cell = points.floor().long()
    nearest = torch.full_like(points[:, 0], torch.inf)
    owner = torch.zeros_like(nearest)
    for offset in itertools.product((-1, 0, 1), repeat=3):
        neighbour = cell + torch.tensor(offset, device=points.device)
        shift = torch.stack([uniform(neighbour, seed + k) for k in range(3)], dim=1).to(points)
        distance = (neighbour + 0.5 + jitter * (shift - 0.5) - points).norm(dim=1)
        owner = torch.where(distance < nearest, uniform(neighbour, seed + 7).to(points), owner)
        nearest = torch.minimum(nearest, distance)
    return nearest, owner
