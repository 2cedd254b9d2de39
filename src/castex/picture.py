"""Pictures at the border: files to tensors and back, sRGB values in [0, 1].

The toy experiment compares pictures as they are stored, so no value is linearised here.
"""

from __future__ import annotations

import io
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
# Pillow modes that are read as they are; all others are converted by Pillow, which knows what they mean.
PLAIN_MODES = {"1", "L", "LA", "RGB", "RGBA", "I;16", "F"}


def read_picture(path: Path, *, smallest: int = SMALLEST_SIDE) -> Image:
    """Read an image file as `1 3 height width` in [0, 1].

    Grey pictures are repeated to three channels; alpha is composited on white, as the paper's metrics do;
    8- and 16-bit integers are divided by their largest value; floating-point files must lie in [0, 1];
    a camera's note on orientation is followed. `smallest` is the least that a side may have. Raises
    InputError in one sentence for anything else.
    """
    pixels = _decode(path, smallest)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{path} has shape {pixels.shape}; give one grey, RGB or RGBA picture")
    _check_sides(path, pixels.shape[0], pixels.shape[1], smallest)
    values = _unit_range(pixels, path)
    if values.shape[2] in (2, 4):
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    return torch.from_numpy(values).permute(2, 0, 1)[None].expand(1, 3, -1, -1).contiguous()


def _decode(path: Path, smallest: int) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"there is no picture at {path}; check the path")
    try:
        # Pillow cannot hold 16-bit or floating-point colour, which TIFF files have.
        tiff = path.suffix.lower() in (".tif", ".tiff")
        return (_decode_tiff if tiff else _decode_plain)(path, smallest)
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever they like on broken bytes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read as a picture: {reason}") from error


def _decode_plain(path: Path, smallest: int) -> np.ndarray:
    from PIL import Image as Pillow
    from PIL import ImageOps

    with Pillow.open(path) as opened:
        _check_sides(path, opened.height, opened.width, smallest)
        upright = ImageOps.exif_transpose(opened)
        if upright.mode not in PLAIN_MODES:
            upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        return np.asarray(upright)


def _decode_tiff(path: Path, smallest: int) -> np.ndarray:
    from tifffile import PHOTOMETRIC, TiffFile

    with TiffFile(path) as opened:
        page = opened.pages.first
        _check_sides(path, page.imagelength, page.imagewidth, smallest)
        if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
            raise InputError(
                f"{path} stores {PHOTOMETRIC(page.photometric).name} colours; save it as grey or RGB"
            )
        return np.asarray(page.asarray())


def _check_sides(path: Path, height: int, width: int, smallest: int) -> None:
    if height * width > MAX_PIXELS:
        raise InputError(f"{path} is {width} x {height} pixels; give at most {MAX_PIXELS} pixels")
    if min(height, width) < smallest:
        why = ", the stride of the autoencoder" if smallest == SMALLEST_SIDE else ""
        raise InputError(
            f"{path} is {width} x {height} pixels; both sides must be at least {smallest} pixels{why}"
        )


def _unit_range(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.dtype == np.bool_:
        return pixels.astype(np.float32)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise InputError(f"{path} holds {pixels.dtype} values; save it with 8 or 16 unsigned bits")
    if not np.isfinite(pixels).all():
        raise InputError(f"{path} holds NaN or infinite values; repair the picture")
    if pixels.min() < 0 or pixels.max() > 1:
        raise InputError(
            f"{path} holds values from {pixels.min():.3g} to {pixels.max():.3g}; scale them to [0, 1]"
        )
    return pixels.astype(np.float32)


def picture_sides(path: Path) -> tuple[int, int]:
    """Width and height from the header alone; InputError when there is none."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as opened:
            return opened.width, opened.height
    except Exception as error:  # decoders raise whatever they like on broken bytes
        raise InputError(f"{path} cannot be read as a picture; check the file") from error


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


def png_bytes(picture: Float[Tensor, "views channels height width"]) -> bytes:
    """One RGB or RGBA picture as an 8-bit PNG; values are clamped to [0, 1]."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(to_bytes(picture)).save(buffer, format="PNG")
    return buffer.getvalue()


def write_picture(path: Path, picture: Image) -> None:
    """Write one picture as an 8-bit PNG, atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(png_bytes(picture))


def to_bytes(picture: Float[Tensor, "views channels height width"]) -> np.ndarray:
    """`height width channels` unsigned bytes of the first picture of the batch."""
    values = picture[0].detach().cpu().permute(1, 2, 0)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def bundled_picture(name: str) -> Image:
    """A photograph that ships inside scikit-image, such as `astronaut`; nothing is downloaded."""
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    found = [folder / f"{name}{suffix}" for suffix in (".png", ".jpg") if re.fullmatch(r"[a-z_]+", name)]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        raise InputError(
            f"scikit-image bundles no photograph {name!r}; try astronaut, coffee or chelsea, or give a path"
        )
    return read_picture(path)
