"""Pictures as the judge will meet them: enlarged, soft, noisy, moved and turned a little."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.maps import linear_to_srgb
from castex.settings.training import AugmentSettings

CHANNEL_SHARE = 0.6
"""How much more of the gain a single channel may have."""


@dataclass(frozen=True)
class Motion:
    """One affine map per picture, from places in the result to those in the source, as in `affine_grid`."""

    theta: Float[Tensor, "pictures 2 3"]

    def __call__(self, pictures: Float[Tensor, "pictures channels side side"]) -> Tensor:
        """The moved pictures; what comes in from outside repeats the border."""
        grid = F.affine_grid(self.theta, list(pictures.shape), align_corners=False)
        return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def draw_motion(count: int, settings: AugmentSettings, stream: torch.Generator) -> Motion:
    """Mirror, turn, enlarge and shift, each picture in its own way."""
    draw = 2 * torch.rand(4, count, generator=stream) - 1
    mirror = torch.where(torch.rand(count, generator=stream) < 0.5, -1.0, 1.0)
    angle = math.radians(settings.turn) * draw[0]
    scale = torch.exp(math.log(1 + settings.zoom) * draw[1])
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([mirror * cosine, -sine, settings.shift * draw[2]], dim=1),
        torch.stack([mirror * sine, cosine, settings.shift * draw[3]], dim=1),
    ]
    return Motion(torch.stack(rows, dim=1))


def recoloured(
    pictures: Float[Tensor, "pictures 3 side side"], settings: AugmentSettings, stream: torch.Generator
) -> Float[Tensor, "pictures 3 side side"]:
    """Pictures in colours that have no name: hues turn, some colour is lost, the light is tinted.

    A material is still to be told, a colour no more. Three in ten keep their hues.
    """
    count = len(pictures)
    draw = torch.rand(3, count, generator=stream)
    angle = 2 * math.pi * draw[0].masked_fill(draw[1] < 0.3, 0)
    kept = (1.5 * draw[2]).clamp(max=1)
    # A turn about the axis of greys, shrunk towards that axis: a matrix whose rows repeat, shifted.
    shares = [
        (1 + 2 * kept * torch.cos(angle + shift)) / 3 for shift in (0.0, 2 * math.pi / 3, -2 * math.pi / 3)
    ]
    order = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
    mixing = torch.stack([torch.stack([shares[k] for k in row], dim=1) for row in order], dim=1)
    light = torch.exp(settings.light * (2 * torch.rand(count, 3, 1, 1, generator=stream) - 1))
    return (mixing[..., None, None] * pictures[:, None]).sum(2).clamp_min(0) * light


def unevenly_lit(
    pictures: Float[Tensor, "pictures 3 side side"], settings: AugmentSettings, stream: torch.Generator
) -> Float[Tensor, "pictures 3 side side"]:
    """Linear pictures with a gain that changes from one side to the other, differently for each channel."""
    count, side = len(pictures), pictures.shape[-1]
    line = torch.linspace(-1, 1, side)
    angle = 2 * math.pi * torch.rand(count, 1, 1, generator=stream)
    across = (angle.cos() * line[None, None] + angle.sin() * line[None, :, None] + 1) / 2
    level = 2 * torch.rand(2, count, 1, 1, 1, generator=stream) - 1
    colour = 2 * torch.rand(2, count, 3, 1, 1, generator=stream) - 1
    ends = settings.uneven * (level + CHANNEL_SHARE * colour)
    return pictures * torch.lerp(ends[0], ends[1], across[:, None]).exp()


def degraded(
    pictures: Float[Tensor, "pictures 3 side side"], settings: AugmentSettings, stream: torch.Generator
) -> Float[Tensor, "pictures 3 side side"]:
    """Linear pictures as sRGB ones, brighter or darker, tinted, soft and noisy.

    Noise comes first, as in the samples of a generator, then the sRGB curve. About half of the pictures are
    reduced to half the side before the noise, and enlarged after the curve.
    """
    count, _, side, _ = pictures.shape
    draw = torch.rand(3, count, 1, 1, 1, generator=stream)
    gains = torch.exp(settings.brightness * (2 * draw[0] - 1))
    tints = torch.exp(settings.tint * (2 * torch.rand(count, 3, 1, 1, generator=stream) - 1))
    small = torch.rand(count, generator=stream) < 0.5
    noise = settings.noise * draw[1] * torch.randn(pictures.shape, generator=stream)
    bright = pictures * gains * tints
    blur = (settings.blur + settings.sharpen) * draw[2] - settings.sharpen
    soft = torch.lerp(bright, F.avg_pool2d(bright, 3, 1, 1, count_include_pad=False), blur)
    result = torch.empty_like(pictures)
    result[~small] = linear_to_srgb((soft + noise)[~small])
    if small.any():
        half = F.avg_pool2d(bright[small], 2) + noise[small, :, : side // 2, : side // 2]
        encoded = linear_to_srgb(half)
        result[small] = F.interpolate(encoded, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return result
