"""Equirectangular panoramas of linear radiance: Radiance .hdr, OpenEXR, and three that are generated.

Row 0 looks up (+Y); the middle column looks at -Z, the left and right edges at +Z (`cubemap.from_panorama`).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castex.errors import InputError

Panorama = Float[Tensor, "height width 3"]
MAX_PIXELS = 8192 * 4096
MAX_RADIANCE_BYTES = 5 * MAX_PIXELS
MAX_EXR_BYTES_PER_PIXEL = 16
"""Four channels of float32; whatever a file holds beyond red, green and blue is read as well."""
LONGEST_RUN = 127
HEADER_BYTES = 65536
GENERATED = ("studio", "sky", "sunset")
GENERATED_HEIGHT = 256


def read_panorama(path: Path) -> Panorama:
    """Read a .hdr or .exr panorama as linear radiance; InputError in one sentence for anything else.

    Size and shape are judged by the header, before memory is taken for the pixels.
    """
    if not path.is_file():
        raise InputError(f"there is no panorama at {path}; check the path")
    readers = {".hdr": _read_radiance, ".exr": _read_exr}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is neither .hdr nor .exr; convert the panorama to one of them")
    pixels = reader(path)
    # NaN compares as false.
    if not (pixels.min() >= 0 and pixels.max() < np.inf):
        raise InputError(f"{path} holds negative, NaN or infinite radiance; repair the panorama")
    return torch.from_numpy(pixels)


def _check_size(path: Path, height: int, width: int) -> None:
    if height <= 0 or width <= 0 or height * width > MAX_PIXELS:
        raise InputError(
            f"{path} claims {width} x {height} pixels; give at most {MAX_PIXELS}, such as 8192 x 4096"
        )
    if width != 2 * height:
        raise InputError(
            f"{path} is {width} x {height}; an equirectangular panorama is twice as wide as high"
        )


def _check_bytes(path: Path, most: int) -> int:
    size = path.stat().st_size
    if size > most:
        raise InputError(f"{path} has {size} bytes; give a panorama of at most {most} bytes")
    return size


def _read_radiance(path: Path) -> np.ndarray:
    """Radiance RGBE, flat or run-length encoded (Ward 1991); top row first, left column first."""
    _check_bytes(path, MAX_RADIANCE_BYTES)
    data = path.read_bytes()
    header = re.match(rb"#\?[^\n]*\n(?:[^\n]+\n)*?\n-Y (\d{1,6}) \+X (\d{1,6})\n", data[:HEADER_BYTES])
    if header is None or b"32-bit_rle_rgbe" not in header[0]:
        raise InputError(f"{path} is no Radiance RGBE picture with rows from the top; convert it")
    height, width = int(header[1]), int(header[2])
    _check_size(path, height, width)
    try:
        return _scanlines(data, header.end(), height, width)
    except (IndexError, ValueError) as error:
        raise InputError(f"{path} is truncated or damaged; download it again") from error


def _scanlines(data: bytes, start: int, height: int, width: int) -> np.ndarray:
    """Float radiance, made row by row; ValueError and IndexError mean that the data are broken."""
    marker = bytes([2, 2, width >> 8 & 255, width & 255])
    packed = 8 <= width < 32768 and data[start : start + 4] == marker
    least = height * (4 + 8 * math.ceil(width / LONGEST_RUN) if packed else 4 * width)
    if len(data) - start < least:
        raise ValueError("it is shorter than any picture of its size")
    lines = np.empty((height, width, 3), np.float32)
    for row in range(height):
        if packed:
            if data[start : start + 4] != marker:
                raise ValueError("a scanline does not begin where it should")
            planes, start = _unpacked(data, start + 4, width)
            rgbe = np.frombuffer(planes, np.uint8).reshape(4, width).T
        else:
            rgbe = np.frombuffer(data, np.uint8, 4 * width, start).reshape(width, 4)
            start += 4 * width
        np.multiply(rgbe[:, :3], SCALE[rgbe[:, 3:]], out=lines[row])
    return lines


SCALE = np.where(np.arange(256) > 0, np.ldexp(np.float32(1), np.arange(256) - 136), np.float32(0))
"""Factor on the mantissas by their shared exponent; an exponent of 0 is black."""


def _unpacked(data: bytes, start: int, width: int) -> tuple[bytearray, int]:
    """The four channels of one scanline, one after the other, and where the next scanline begins."""
    planes = bytearray()
    for end in range(width, 4 * width + 1, width):
        while len(planes) < end:
            count = data[start]
            if count > 128:
                planes += data[start + 1 : start + 2] * (count - 128)
                start += 2
            elif count:
                planes += data[start + 1 : start + 1 + count]
                start += 1 + count
            if not count or start > len(data) or len(planes) > end:
                raise ValueError("a run is empty, cut off, or longer than its scanline")
    return planes, start


def _read_exr(path: Path) -> np.ndarray:
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"reading {path} needs OpenEXR; pip install openexr, or give a .hdr file") from error
    _check_bytes(path, (MAX_EXR_BYTES_PER_PIXEL + 1) * MAX_PIXELS)
    try:
        with OpenEXR.File(str(path), header_only=True) as opened:
            # Closing the file empties its headers.
            _check_exr(path, [part.header for part in opened.parts])
        with OpenEXR.File(str(path), separate_channels=True) as opened:
            channels = opened.channels()
            shape = channels["R"].pixels.shape
            pixels = np.empty((*shape, 3), np.float32)
            for k, name in enumerate("RGB"):
                if channels[name].pixels.shape != shape:
                    raise ValueError("its channels differ in size")
                pixels[..., k] = channels[name].pixels
    except InputError:
        raise
    except Exception as error:  # the binding raises plain and private exceptions alike
        raise InputError(f"{path} cannot be read as an RGB EXR picture ({error}); convert it") from error
    _check_size(path, *shape)
    return pixels


def _check_exr(path: Path, headers: list[dict[str, Any]]) -> None:
    if len(headers) != 1:
        raise InputError(f"{path} has {len(headers)} parts; save the panorama alone, as one part")
    (left, top), (right, bottom) = headers[0]["dataWindow"]
    _check_size(path, int(bottom) - int(top) + 1, int(right) - int(left) + 1)
    names = [channel.name for channel in headers[0]["channels"]]
    if len(names) > MAX_EXR_BYTES_PER_PIXEL // 4:
        raise InputError(f"{path} has {len(names)} channels; save it with red, green and blue alone")


def generated_panorama(name: str) -> Panorama:
    """One of the panoramas that this package draws itself: `studio`, `sky` or `sunset`; 512 x 256."""
    if name not in GENERATED:
        raise InputError(f"there is no generated panorama {name!r}; choose one of {', '.join(GENERATED)}")
    return {"studio": _studio, "sky": _sky, "sunset": _sunset}[name](panorama_directions())


def panorama_directions() -> Panorama:
    """The unit direction of every pixel of a generated panorama, 256 x 512."""
    height = GENERATED_HEIGHT
    v = (torch.arange(height) + 0.5) / height * math.pi
    u = ((torch.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * math.pi
    polar, azimuth = torch.meshgrid(v, u, indexing="ij")
    return torch.stack([polar.sin() * azimuth.sin(), polar.cos(), -polar.sin() * azimuth.cos()], dim=-1)


def _studio(direction: Panorama) -> Panorama:
    """A dim grey room with four soft boxes: a warm key, a cool fill, a rim light behind, a strip overhead."""
    up = direction[..., 1:2]
    room = (0.2 + 0.1 * up).expand(*up.shape[:2], 3)
    lights = [
        ((1.0, 0.9, 1.2), (10.0, 9.4, 8.4), 0.36),
        ((-1.4, 0.4, 0.8), (2.0, 2.2, 2.6), 0.45),
        ((-0.3, 0.7, -1.3), (5.0, 5.1, 5.4), 0.28),
        ((0.05, 1.0, 0.1), (2.2, 2.2, 2.2), 0.30),
    ]
    return with_lights(room, direction, lights, square=True)


def _sky(direction: Panorama) -> Panorama:
    """A blue sky with a white sun at 50 degrees over green-grey ground."""
    up = direction[..., 1:2]
    zenith, horizon, ground = (
        torch.tensor(c) for c in ((0.25, 0.45, 0.95), (0.85, 0.95, 1.05), (0.2, 0.19, 0.15))
    )
    sky = torch.lerp(horizon, zenith, up.clamp(0, 1).sqrt())
    base = torch.lerp(ground.expand_as(sky), sky, (up * 40).sigmoid())
    return with_lights(base, direction, [((0.6, 1.0, 0.6), (160.0, 150.0, 130.0), 0.075)])


def _sunset(direction: Panorama) -> Panorama:
    """A low orange sun, a violet sky opposite, dark ground."""
    up, along = direction[..., 1:2], direction[..., :1]
    warm, cool, ground = (
        torch.tensor(c) for c in ((1.3, 0.62, 0.28), (0.30, 0.28, 0.55), (0.10, 0.08, 0.07))
    )
    glow = torch.lerp(cool, warm, (0.5 + 0.5 * along).square() * (1 - up.clamp(0, 1)))
    base = torch.lerp(ground.expand_as(glow), glow, (up * 40).sigmoid())
    return with_lights(base, direction, [((1.0, 0.16, 0.35), (150.0, 70.0, 22.0), 0.09)])


def with_lights(
    base: Panorama,
    direction: Panorama,
    lights: list[tuple[tuple[float, float, float], tuple[float, float, float], float]],
    *,
    square: bool = False,
) -> Panorama:
    """Add discs or squares with soft edges: (direction, radiance, angular radius or half side)."""
    total = base.clone()
    for towards, radiance, radius in lights:
        axis = torch.tensor(towards) / math.hypot(*towards)
        along = direction @ axis
        if square:
            side = torch.nn.functional.normalize(
                torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), axis), dim=0
            )
            top = torch.linalg.cross(axis, side)
            away = torch.maximum((direction @ side).abs(), (direction @ top).abs())
            angle = torch.atan2(away, along)
        else:
            angle = along.clamp(-1, 1).acos()
        edge = (0.06 if square else 0.15) * radius
        total += torch.tensor(radiance) * ((radius - angle) / edge).sigmoid()[..., None]
    return total
