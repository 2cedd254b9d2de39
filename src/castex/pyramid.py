"""A byte picture that is read at any size: repeated, bilinear, and averaged in linear values before that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from castex.maps import srgb_to_linear

ROWS = 256
"""Rows of the full picture that are converted at once: the whole of a large one would take gigabytes."""

SHARP = 1e-3
"""A level below this is the full picture: rounding must not blur one that is read texel by texel."""


@dataclass(frozen=True)
class Pyramid:
    """The bytes, what they mean, and smaller versions, each the 2 x 2 mean of the one before."""

    base: UInt8[np.ndarray, "height width channels"]
    meaning: Float[np.ndarray, "256"]
    levels: tuple[Float[np.ndarray, "..."], ...]


def linear_meaning() -> Float[np.ndarray, "256"]:
    """Linear value of each sRGB byte."""
    return srgb_to_linear(torch.arange(256) / 255).numpy()


def data_meaning() -> Float[np.ndarray, "256"]:
    """Bytes that are data: [0, 1]."""
    return np.arange(256, dtype=np.float32) / np.float32(255)


def normal_meaning() -> Float[np.ndarray, "256"]:
    """Bytes that are components of a vector: [-1, 1]."""
    return data_meaning() * 2 - 1


def pyramid(
    picture: UInt8[np.ndarray, "*shape"], meaning: Float[np.ndarray, "256"], coarsest: float
) -> Pyramid:
    """All levels down to the one that a lookup at level `coarsest` needs; grey pictures get one channel."""
    base = picture[..., None] if picture.ndim == 2 else picture
    levels: list[Float[np.ndarray, "..."]] = []
    height, width = base.shape[:2]
    while len(levels) < np.ceil(coarsest - SHARP) and max(height, width) > 1:
        levels.append(_halved_bytes(base, meaning) if not levels else _halved(levels[-1]))
        height, width = levels[-1].shape[:2]
    return Pyramid(base, meaning, tuple(levels))


def sampled(
    source: Pyramid, uv: Float[np.ndarray, "points 2"], level: Float[np.ndarray, "points"]
) -> Float[np.ndarray, "points channels"]:
    """Trilinear values at texture coordinates (origin top left, repeating); level 0 is the full picture."""
    level = np.clip(np.where(level < SHARP, 0, level), 0, len(source.levels))
    result = np.empty((len(uv), source.base.shape[2]), dtype=np.float32)
    lower = np.floor(level).astype(np.int64)
    for k in np.unique(lower):
        rows = lower == k
        value = _bilinear(source, int(k), uv[rows])
        share = (level[rows] - k).astype(np.float32)[:, None]
        if share.any():
            value = value * (1 - share) + _bilinear(source, int(k) + 1, uv[rows]) * share
        result[rows] = value
    return result


class Pictures:
    """The pyramids of a scene's pictures, each built once and no deeper than it is read."""

    def __init__(self, footprints: Float[np.ndarray, "points"]) -> None:
        """`footprints`: log2 of the side, in units of the texture coordinates, that each lookup averages."""
        self._largest = float(footprints.max(initial=-np.inf))
        self._known: dict[int, Pyramid] = {}

    def read(
        self,
        picture: UInt8[np.ndarray, "*shape"],
        meaning: Float[np.ndarray, "256"],
        uv: Float[np.ndarray, "points 2"],
        footprint: Float[np.ndarray, "points"],
    ) -> Float[np.ndarray, "points channels"]:
        """Values of a picture, averaged over each point's footprint."""
        texels = 0.5 * np.log2(picture.shape[0] * picture.shape[1])
        if id(picture) not in self._known:
            self._known[id(picture)] = pyramid(picture, meaning, max(self._largest + texels, 0.0))
        return sampled(self._known[id(picture)], uv, footprint + texels)


def _bilinear(
    source: Pyramid, level: int, uv: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "points channels"]:
    image = source.base if level == 0 else source.levels[level - 1]
    height, width = image.shape[:2]
    exact = uv.astype(np.float64)
    x, y = (exact - np.floor(exact)).T * np.array([[width], [height]]) - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_share, bottom_share = (x - left).astype(np.float32), (y - top).astype(np.float32)
    total = np.zeros((len(uv), image.shape[2]), dtype=np.float32)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (right_share if dx else 1 - right_share) * (bottom_share if dy else 1 - bottom_share)
        texels = image[(top + dy) % height, (left + dx) % width]
        total += weight[:, None] * (source.meaning[texels] if level == 0 else texels)
    return total


def _halved_bytes(
    base: UInt8[np.ndarray, "height width channels"], meaning: Float[np.ndarray, "256"]
) -> Float[np.ndarray, "..."]:
    return np.concatenate(
        [_halved(meaning[base[start : start + ROWS]]) for start in range(0, len(base), ROWS)]
    )


def _halved(image: Float[np.ndarray, "height width channels"]) -> Float[np.ndarray, "..."]:
    """2 x 2 means; an odd last row or column counts twice."""
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.asarray((even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]) / 4)
