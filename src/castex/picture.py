"""Pictures at the border: files to tensors and back, sRGB values in [0, 1].

The toy experiment compares pictures as they are stored, so no value is linearised here.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.errors import InputError
from castex.files import atomic_path
from castex.protocols import Image

# A decoder allocates before anybody can look: refuse more than this many pixels from the header alone.
MAX_PIXELS = 100_000_000
SMALLEST_SIDE = 8


def read_picture(path: Path) -> Image:
    """Read an image file as `1 3 height width` in [0, 1].

    Grey pictures are repeated to three channels; alpha is composited on white, as the paper's metrics do;
    8- and 16-bit integers are divided by their largest value; floating-point files must lie in [0, 1].
    Raises InputError in one sentence for anything else.
    """
    pixels = _decode(path)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{path} has shape {pixels.shape}; give one grey, RGB or RGBA picture")
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise InputError(
            f"{path} is {pixels.shape[1]} x {pixels.shape[0]} pixels; "
            f"both sides must be at least {SMALLEST_SIDE} pixels, the stride of the autoencoder"
        )
    values = _unit_range(pixels, path)
    if values.shape[2] in (2, 4):
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    return torch.from_numpy(values).permute(2, 0, 1)[None].expand(1, 3, -1, -1).contiguous()


def _decode(path: Path) -> np.ndarray:
    import imageio.v3 as iio

    if not path.is_file():
        raise InputError(f"there is no picture at {path}; check the path")
    try:
        height, width = _frame_size(iio.improps(path).shape)
        if height * width > MAX_PIXELS:
            raise InputError(f"{path} has {height * width} pixels; give at most {MAX_PIXELS}")
        pixels = np.asarray(iio.imread(path))
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever they like on broken bytes
        raise InputError(f"{path} cannot be read as a picture: {_first_line(error)}") from error
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels.reshape(pixels.shape[1:])
    return pixels


def _frame_size(shape: tuple[int, ...]) -> tuple[int, int]:
    rows = shape[-3:-1] if len(shape) >= 3 else shape
    return int(rows[0]), int(rows[1])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _unit_range(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.dtype == np.bool_:
        return pixels.astype(np.float32)
    if np.issubdtype(pixels.dtype, np.unsignedinteger):
        return (pixels / np.iinfo(pixels.dtype).max).astype(np.float32)
    if pixels.dtype == np.int32 and pixels.min() >= 0 and pixels.max() <= 65535:
        return (pixels / 65535).astype(np.float32)  # how Pillow hands over 16-bit grey PNG
    if not np.issubdtype(pixels.dtype, np.floating):
        raise InputError(f"{path} holds {pixels.dtype} values; save it with 8 or 16 unsigned bits")
    if not np.isfinite(pixels).all():
        raise InputError(f"{path} holds NaN or infinite values; repair the picture")
    if pixels.min() < 0 or pixels.max() > 1:
        raise InputError(
            f"{path} holds values from {pixels.min():.3g} to {pixels.max():.3g}; scale them to [0, 1]"
        )
    return pixels.astype(np.float32)


def square(picture: Image, size: int) -> Float[Tensor, "views 3 side side"]:
    """Centre-crop to a square and resize to `size` pixels, antialiased, rounded to 8 bits.

    The rounding makes the target a picture that can be stored: every arm, and the reader of `target.png`,
    see the very same x*.
    """
    height, width = picture.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cropped = picture[..., top : top + side, left : left + side]
    if side != size:
        cropped = F.interpolate(cropped, size=(size, size), mode="bilinear", antialias=True)
    return (cropped.clamp(0, 1) * 255).round() / 255


def write_picture(path: Path, picture: Image) -> None:
    """Write one picture as an 8-bit PNG, atomically; values are clamped to [0, 1]."""
    import imageio.v3 as iio

    with atomic_path(path) as partial:
        iio.imwrite(partial, to_bytes(picture))


def to_bytes(picture: Image) -> np.ndarray:
    """`height width 3` unsigned bytes of the first picture of the batch."""
    values: Float[Tensor, "height width 3"] = picture[0].detach().cpu().permute(1, 2, 0)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def bundled_picture(name: str) -> Image:
    """A photograph that ships inside scikit-image, such as `astronaut`; nothing is downloaded."""
    import skimage.data

    path = Path(skimage.data.__file__).parent / f"{name}.png"
    if not re.fullmatch(r"[a-z_]+", name) or not path.is_file():
        raise InputError(
            f"scikit-image bundles no photograph {name!r}; try astronaut, coffee or chelsea, or give a path"
        )
    return read_picture(path)
