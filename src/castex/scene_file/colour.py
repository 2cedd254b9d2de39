"""The sRGB transfer function for the bytes and colours of mesh files, in numpy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8


def linear(encoded: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Linear values of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def linear_bytes(encoded: UInt8[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Linear values of sRGB bytes."""
    values: np.ndarray = linear(np.arange(256) / 255)[encoded]
    return values


def srgb_bytes(values: Float64[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """sRGB bytes of linear values, clamped to [0, 1]."""
    values = np.clip(values, 0, 1)
    encoded = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def mean_linear(picture: UInt8[np.ndarray, "height width 3"]) -> tuple[float, float, float]:
    """The mean linear colour of an sRGB picture."""
    table = linear(np.arange(256) / 255)
    counts = [np.bincount(picture[..., band].reshape(-1), minlength=256) for band in range(3)]
    red, green, blue = (float(count @ table / max(count.sum(), 1)) for count in counts)
    return red, green, blue
