"""Panoramas that only the corpus sees: rooms with soft boxes, and skies with a sun, drawn by number."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from castex.panorama import panorama_directions, with_lights
from castex.rng import generator

BRIGHTNESS = (0.75, 1.15)
"""Range of the mean over all directions that a panorama is scaled to: white is neither grey nor burnt."""


def drawn_panorama(number: int, *, seed: int) -> Float[Tensor, "height width 3"]:
    """Linear radiance of light `number`: even numbers are rooms, odd ones skies."""
    stream = generator(seed, str(number), "panorama")

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=stream))

    def tinted(level: float, spread: float) -> Tensor:
        return level * (1 + spread * (2 * torch.rand(3, generator=stream) - 1))

    def towards(lowest: float) -> tuple[float, float, float]:
        flat = 2 * torch.rand(2, generator=stream) - 1
        return float(flat[0]) + 1e-3, uniform(lowest, 1.2), float(flat[1])

    direction = panorama_directions()
    up = direction[..., 1:2]
    room = number % 2 == 0
    above, level, below = tinted(0.5, 0.25), tinted(0.6, 0.15), tinted(0.25, 0.2)
    dome = torch.lerp(level, above, up.clamp(0, 1).sqrt())
    base = torch.lerp(below.expand_as(dome), dome, (up * (4 if room else 40)).sigmoid())
    if room:
        boxes = [
            (towards(-0.2), _triple(tinted(uniform(2.0, 8.0), 0.12)), uniform(0.25, 0.5))
            for _ in range(int(torch.randint(2, 5, (), generator=stream)))
        ]
        total = with_lights(base, direction, boxes, square=True)
    else:
        sun = (towards(0.3), _triple(tinted(uniform(60.0, 140.0), 0.15)), 0.08)
        total = with_lights(base, direction, [sun])
    solid_angle = (1 - up.square()).clamp_min(0).sqrt()
    mean = (total * solid_angle).sum() / (3 * solid_angle.sum())
    return total * (uniform(*BRIGHTNESS) / mean)


def _triple(values: Tensor) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue
