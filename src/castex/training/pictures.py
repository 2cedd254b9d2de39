"""Training pictures for the mini autoencoder: photographs bundled with scikit-image, and dead leaves.

Conventions: a picture is a float32 tensor `3 height width`, sRGB values in [0, 1]. The evaluation
photographs (astronaut, coffee, chelsea) are never opened here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.errors import InputError
from castex.rng import generator

Picture = Float[Tensor, "3 height width"]
T = TypeVar("T")

HELD_OUT = ("astronaut", "coffee", "chelsea")
PHOTOGRAPHS = (
    "rocket",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "motorcycle",
    "camera",
    "coins",
    "moon",
    "clock",
    "brick",
    "grass",
    "gravel",
)


def photograph(name: str) -> Picture:
    """A training photograph of scikit-image; grey ones are repeated to three channels."""
    import skimage.data

    if name in HELD_OUT or name not in PHOTOGRAPHS:
        raise InputError(f"`{name}` is no training photograph; choose one of {', '.join(PHOTOGRAPHS)}")
    load = getattr(skimage.data, "stereo_motorcycle" if name == "motorcycle" else name)
    pixels = load()[0] if name == "motorcycle" else load()
    picture = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255
    return picture.permute(2, 0, 1) if picture.ndim == 3 else picture.expand(3, -1, -1).clone()


def resized(picture: Picture, short_side: int) -> Float[Tensor, "3 rows columns"]:
    """The picture with its shorter side at `short_side` pixels, antialiased, never enlarged."""
    height, width = picture.shape[1:]
    scale = min(short_side / min(height, width), 1.0)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    small: Tensor = F.interpolate(picture[None], size=size, mode="bilinear", antialias=True)[0]
    return small.clamp(0, 1)


def dead_leaves(size: int, stream: torch.Generator) -> Picture:
    """Overlapping discs and boxes with power-law radii, shaded, striped or grainy.

    The dead-leaves model has the edges, the flat areas and the 1/f spectrum of photographs; it teaches
    the autoencoder borders and colours that twelve photographs do not hold.
    """
    canvas = _shade(torch.rand(3, generator=stream), size, stream)
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    for _ in range(int(torch.randint(20, 160, (), generator=stream))):
        u = torch.rand(6, generator=stream)
        # Radii follow r^-2 between the bounds: r^-3, the scale-invariant choice, buries all in specks.
        low, high = 0.03 * size, 0.45 * size
        radius = 1 / float(1 / high + u[0] * (1 / low - 1 / high))
        angle, aspect = float(u[3]) * math.pi, 0.3 + 0.7 * float(u[4])
        x, y = columns - float(u[1]) * size, rows - float(u[2]) * size
        across = x * math.cos(angle) + y * math.sin(angle)
        along = (y * math.cos(angle) - x * math.sin(angle)) / aspect
        distance = torch.maximum(across.abs(), along.abs()) if u[5] < 0.4 else torch.hypot(across, along)
        cover = (radius - distance + 0.5).clamp(0, 1)
        canvas = canvas + cover * (_shade(torch.rand(3, generator=stream), size, stream) - canvas)
    return canvas.clamp(0, 1)


def _shade(colour: Float[Tensor, 3], size: int, stream: torch.Generator) -> Picture:
    """A flat colour with a linear gradient and, sometimes, stripes or grain."""
    u = torch.rand(6, generator=stream)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    angle = float(u[0]) * 2 * math.pi
    axis = columns * math.cos(angle) + rows * math.sin(angle)
    shade = colour[:, None, None] + 0.25 * (float(u[1]) - 0.5) * axis
    if u[2] < 0.2:
        period = 4 + 28 * float(u[3])
        shade = shade + 0.3 * (float(u[4]) - 0.5) * torch.sin(axis * size * math.pi / period)
    elif u[2] < 0.4:
        shade = shade + 0.12 * float(u[5]) * torch.randn(size, size, generator=stream)
    return shade


class PictureSource:
    """Draws training batches; batch k depends on (seed, k) alone, so a resumed run sees the same pictures."""

    def __init__(self, *, crop: int, seed: int, procedural: int, procedural_share: float) -> None:
        self._crop, self._seed, self._share = crop, seed, procedural_share
        sides = [round(crop * 2 ** (k / 2)) for k in range(6)]
        self._photographs = [[resized(p, side) for side in sides] for p in map(photograph, PHOTOGRAPHS)]
        stream = generator(seed, "dead_leaves", "train_vae")
        self._leaves = [[resized(dead_leaves(4 * crop, stream), 2 * crop)] for _ in range(procedural)]

    def batch(self, step: int, count: int) -> Float[Tensor, "count 3 crop crop"]:
        """`count` crops with flips, quarter turns and colour jitter, values in [0, 1]."""
        stream = generator(self._seed, f"batch{step}", "train_vae")
        return torch.stack([self._sample(stream) for _ in range(count)])

    def _sample(self, stream: torch.Generator) -> Picture:
        leaves = self._leaves and torch.rand((), generator=stream) < self._share
        pyramid = _choose(_choose(self._leaves if leaves else self._photographs, stream), stream)
        crop = _random_crop(pyramid, self._crop, stream)
        if torch.rand((), generator=stream) < 0.5:
            crop = crop.flip(2)
        crop = crop.rot90(int(torch.randint(4, (), generator=stream)), (1, 2))
        return _jitter(crop, stream)


def _choose(items: Sequence[T], stream: torch.Generator) -> T:
    return items[int(torch.randint(len(items), (), generator=stream))]


def _random_crop(picture: Picture, size: int, stream: torch.Generator) -> Float[Tensor, "3 side side"]:
    height, width = picture.shape[1:]
    top = int(torch.randint(height - size + 1, (), generator=stream))
    left = int(torch.randint(width - size + 1, (), generator=stream))
    return picture[:, top : top + size, left : left + size]


def _jitter(crop: Picture, stream: torch.Generator) -> Picture:
    """Random saturation, hue (a turn about the grey axis), gain, offset and tint."""
    u = torch.rand(7, generator=stream)
    grey = crop.mean(0, keepdim=True)
    saturation = 1.6 * float(u[0])
    crop = grey + saturation * (_turn_hue(crop, 2 * math.pi * float(u[1])) - grey)
    tint = (0.25 * (u[4:7] - 0.5))[:, None, None]
    return (0.5 + (0.6 + 0.8 * u[2]) * (crop - 0.5) + 0.3 * (u[3] - 0.5) + tint).clamp(0, 1)


def _turn_hue(crop: Picture, angle: float) -> Picture:
    """Rotate colours about the grey axis (Rodrigues' formula for the axis (1, 1, 1)/sqrt 3)."""
    c, s = math.cos(angle), math.sin(angle) / math.sqrt(3)
    k = (1 - c) / 3
    rotation = crop.new_tensor([[c + k, k - s, k + s], [k + s, c + k, k - s], [k - s, k + s, c + k]])
    return torch.einsum("ij,jhw->ihw", rotation, crop)
