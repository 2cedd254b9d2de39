"""Equirectangular panoramas of linear radiance: Radiance .hdr, OpenEXR, and three that are generated.

Row 0 looks up (+Y); the middle column looks at -Z, the left and right edges at +Z (`cubemap.from_panorama`).
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castex.errors import InputError

Panorama = Float[Tensor, "height width 3"]
MAX_PIXELS = 8192 * 16384
HEADER_BYTES = 65536
GENERATED = ("studio", "sky", "sunset")
GENERATED_HEIGHT = 256


def read_panorama(path: Path) -> Panorama:
    """Read a .hdr or .exr panorama as linear radiance; InputError in one sentence for anything else."""
    if not path.is_file():
        raise InputError(f"there is no panorama at {path}; check the path")
    readers = {".hdr": _read_radiance, ".exr": _read_exr}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is neither .hdr nor .exr; convert the panorama to one of them")
    pixels = reader(path)
    height, width = pixels.shape[:2]
    if width != 2 * height:
        raise InputError(
            f"{path} is {width} x {height}; an equirectangular panorama is twice as wide as high"
        )
    if not np.isfinite(pixels).all() or pixels.min() < 0:
        raise InputError(f"{path} holds negative, NaN or infinite radiance; repair the panorama")
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))


def _read_radiance(path: Path) -> np.ndarray:
    """Radiance RGBE, flat or run-length encoded (Ward 1991); top row first, left column first."""
    data = path.read_bytes()
    header = re.match(rb"#\?[^\n]*\n(?:[^\n]+\n)*?\n-Y (\d{1,6}) \+X (\d{1,6})\n", data[:HEADER_BYTES])
    if header is None or b"32-bit_rle_rgbe" not in header[0]:
        raise InputError(f"{path} is no Radiance RGBE picture with rows from the top; convert it")
    height, width = int(header[1]), int(header[2])
    if height * width > MAX_PIXELS or height * width == 0:
        raise InputError(f"{path} claims {width} x {height} pixels; give between 1 and {MAX_PIXELS}")
    try:
        return _floats(_scanlines(data, header.end(), height, width))
    except (IndexError, ValueError) as error:
        raise InputError(f"{path} is truncated or damaged; download it again") from error


def _scanlines(data: bytes, start: int, height: int, width: int) -> np.ndarray:
    marker = bytes([2, 2, width >> 8, width & 255])
    if not 8 <= width < 32768 or data[start : start + 4] != marker:
        flat = np.frombuffer(data, np.uint8, height * width * 4, start)
        return flat.reshape(height, width, 4)
    lines = np.empty((height, 4, width), np.uint8)
    for row in range(height):
        if data[start : start + 4] != marker:
            raise ValueError("a scanline does not begin where it should")
        start += 4
        for channel in range(4):
            start = _unpack(data, start, lines[row, channel])
    return lines.transpose(0, 2, 1)


def _unpack(data: bytes, start: int, line: np.ndarray) -> int:
    """Expand one channel of one scanline into `line`; return where the next one begins."""
    filled, width = 0, len(line)
    parts = []
    while filled < width:
        count = data[start]
        if count > 128:
            parts.append(data[start + 1 : start + 2] * (count - 128))
            start += 2
        else:
            parts.append(data[start + 1 : start + 1 + count])
            start += 1 + count
        if count == 0 or not parts[-1]:
            raise ValueError("a run is empty")
        filled += len(parts[-1])
    line[:] = np.frombuffer(b"".join(parts), np.uint8)
    return start


def _floats(rgbe: np.ndarray) -> np.ndarray:
    """Mantissas and the shared exponent to radiance; an exponent of 0 is black."""
    exponent = rgbe[..., 3:].astype(np.int32)
    scale = np.where(exponent > 0, np.ldexp(np.float32(1), exponent - 136), np.float32(0))
    return rgbe[..., :3].astype(np.float32) * scale


def _read_exr(path: Path) -> np.ndarray:
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"reading {path} needs OpenEXR; pip install openexr, or give a .hdr file") from error
    try:
        with OpenEXR.File(str(path), header_only=True) as opened:
            (left, top), (right, bottom) = opened.header()["dataWindow"]
        if (int(right) - int(left) + 1) * (int(bottom) - int(top) + 1) > MAX_PIXELS:
            raise InputError(f"{path} has more than {MAX_PIXELS} pixels; give a smaller panorama")
        with OpenEXR.File(str(path), separate_channels=True) as opened:
            channels = opened.channels()
            return np.stack([channels[name].pixels.astype(np.float32) for name in "RGB"], axis=-1)
    except InputError:
        raise
    except Exception as error:  # the binding raises plain and private exceptions alike
        raise InputError(f"{path} cannot be read as an RGB EXR picture ({error}); convert it") from error


def generated_panorama(name: str) -> Panorama:
    """One of the panoramas that this package draws itself: `studio`, `sky` or `sunset`; 512 x 256."""
    if name not in GENERATED:
        raise InputError(f"there is no generated panorama {name!r}; choose one of {', '.join(GENERATED)}")
    height = GENERATED_HEIGHT
    v = (torch.arange(height) + 0.5) / height * math.pi
    u = ((torch.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * math.pi
    polar, azimuth = torch.meshgrid(v, u, indexing="ij")
    direction = torch.stack([polar.sin() * azimuth.sin(), polar.cos(), -polar.sin() * azimuth.cos()], dim=-1)
    return {"studio": _studio, "sky": _sky, "sunset": _sunset}[name](direction)


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
    return _with_lights(room, direction, lights, square=True)


def _sky(direction: Panorama) -> Panorama:
    """A blue sky with a white sun at 50 degrees over green-grey ground."""
    up = direction[..., 1:2]
    zenith, horizon, ground = (
        torch.tensor(c) for c in ((0.25, 0.45, 0.95), (0.85, 0.95, 1.05), (0.2, 0.19, 0.15))
    )
    sky = torch.lerp(horizon, zenith, up.clamp(0, 1).sqrt())
    base = torch.lerp(ground.expand_as(sky), sky, (up * 40).sigmoid())
    return _with_lights(base, direction, [((0.6, 1.0, 0.6), (160.0, 150.0, 130.0), 0.075)])


def _sunset(direction: Panorama) -> Panorama:
    """A low orange sun, a violet sky opposite, dark ground."""
    up, along = direction[..., 1:2], direction[..., :1]
    warm, cool, ground = (
        torch.tensor(c) for c in ((1.3, 0.62, 0.28), (0.30, 0.28, 0.55), (0.10, 0.08, 0.07))
    )
    glow = torch.lerp(cool, warm, (0.5 + 0.5 * along).square() * (1 - up.clamp(0, 1)))
    base = torch.lerp(ground.expand_as(glow), glow, (up * 40).sigmoid())
    return _with_lights(base, direction, [((1.0, 0.16, 0.35), (150.0, 70.0, 22.0), 0.09)])


def _with_lights(
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
