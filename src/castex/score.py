"""Measures of pictures."""

from __future__ import annotations

import math

from skimage.metrics import peak_signal_noise_ratio

from castex.protocols import Image

# Far above the rounding floor of float32 pictures (about 148 dB); JSON has no infinity.
PSNR_CEILING_DB = 200.0


def psnr(picture: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, peak 1, computed in float64.

    The picture is clamped to [0, 1] first: what cannot be shown is not counted. Equal and
    nearly equal pictures score PSNR_CEILING_DB in place of infinity, so that every score is a number.
    """
    ours = picture.detach().double().clamp(0, 1).cpu().numpy()
    theirs = reference.detach().double().cpu().numpy()
    if (ours == theirs).all():
        return PSNR_CEILING_DB
    value = float(peak_signal_noise_ratio(theirs, ours, data_range=1.0))  # type: ignore[no-untyped-call]
    return value if math.isnan(value) else min(value, PSNR_CEILING_DB)
