"""Pictures of mesh files, through Pillow: sizes are read from headers before anything is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from castex.errors import InputError
from castex.scene_file.limits import Limits
from castex.scene_file.nearby import shorten

# Only plain raster decoders: no format here starts another program or refers to other files.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
SMALLEST_SIDE = 64

Rgb = UInt8[np.ndarray, "height width 3"]
Channel = UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class _Source:
    data: bytes | memoryview
    width: int
    height: int


class Pictures:
    """The pictures of one asset: first all are added, then the materials ask for them.

    A picture that cannot be decoded becomes a note and counts as absent; one that is too large is an
    InputError. All are reduced together until they fit into `limits.kept_pixels`.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sources: dict[str, _Source] = {}
        self._decoded: dict[tuple[str, str], np.ndarray | None] = {}
        self.notes: list[str] = []

    def add(self, name: str, data: bytes | memoryview | None) -> None:
        """Look at the header of a picture; None stands for a file that does not exist."""
        if name in self._sources:
            return
        if data is None:
            self._note(f"the picture {shorten(name)!r} is missing, so its material is plain")
            return
        size = self._header(name, data)
        if size is not None:
            self._sources[name] = _Source(data, *size)

    def rgb(self, name: str) -> Rgb | None:
        """Red, green and blue as stored, row 0 at the top, alpha left out; grey is repeated."""
        return self._channels(name, "RGB")

    def alpha(self, name: str) -> Channel | None:
        """The alpha channel; 255 everywhere for a picture without one."""
        return self._channels(name, "A")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _header(self, name: str, data: bytes | memoryview) -> tuple[int, int] | None:
        from PIL import Image as Pillow

        try:
            with Pillow.open(io.BytesIO(data), formats=_formats(name)) as opened:
                width, height = opened.size
        except Pillow.DecompressionBombError as error:
            raise InputError(
                f"its picture {shorten(name)!r} is far too large ({error}); reduce it to "
                f"{self._limits.picture_side} pixels a side"
            ) from error
        except Exception as error:  # decoders raise whatever they like on broken bytes
            self._unreadable(name, error)
            return None
        if width * height > self._limits.picture_pixels:
            raise InputError(
                f"its picture {shorten(name)!r} is {width} x {height} pixels; reduce it to at most "
                f"{self._limits.picture_pixels} pixels"
            )
        return width, height

    def _unreadable(self, name: str, error: Exception) -> None:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "BytesIO" in reason:
            reason = "unknown format"
        self._note(
            f"the picture {shorten(name)!r} cannot be decoded ({shorten(reason)}), so its material is plain"
        )

    def _channels(self, name: str, bands: str) -> np.ndarray | None:
        if (name, bands) not in self._decoded:
            self._decoded[name, bands] = self._decode(name, bands)
        return self._decoded[name, bands]

    def _decode(self, name: str, bands: str) -> np.ndarray | None:
        from PIL import Image as Pillow

        source = self._sources.get(name)
        if source is None:
            return None
        scale = min(1.0, self._side() / max(source.width, source.height))
        size = (max(1, round(source.width * scale)), max(1, round(source.height * scale)))
        try:
            with Pillow.open(io.BytesIO(source.data), formats=_formats(name)) as opened:
                picture = _eight_bits(opened)
                if bands == "A":
                    transparent = picture.has_transparency_data
                    picture = picture.convert("RGBA").getchannel("A") if transparent else None
                else:
                    picture = picture.convert("RGBA" if picture.mode in ("P", "PA") else "RGB").convert("RGB")
                if picture is None:
                    return np.full((size[1], size[0]), 255, np.uint8)
                # Colour and alpha are reduced apart: Pillow would forget the colour of transparent texels.
                reduced = picture if scale == 1 else picture.resize(size, Pillow.Resampling.BOX)
                return np.array(reduced)
        except Exception as error:  # decoders raise whatever they like on broken bytes
            self._unreadable(name, error)
            return None

    def _side(self) -> int:
        """The longest side, halved from the allowed one until all pictures fit together."""
        side = self._limits.picture_side
        while side > SMALLEST_SIDE and self._pixels_at(side) > self._limits.kept_pixels:
            side //= 2
        if side < self._limits.picture_side and any(
            max(source.width, source.height) > side for source in self._sources.values()
        ):
            self._note(f"the pictures are too many for memory and were reduced to {side} pixels a side")
        return side

    def _pixels_at(self, side: int) -> float:
        scales = (
            (s.width * s.height, min(1.0, side / max(s.width, s.height, 1))) for s in self._sources.values()
        )
        return sum(pixels * scale**2 for pixels, scale in scales)


def _formats(name: str) -> tuple[str, ...]:
    # Targa has no mark at its start, so any bytes could pass for it: only its own suffix admits it.
    return ("TGA",) if name.lower().endswith(".tga") else FORMATS


def _eight_bits(picture: Any) -> Any:
    """Grey pictures with 16 bits scaled to 8; Pillow would clip them."""
    from PIL import Image as Pillow

    if picture.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode == "I":
        return Pillow.fromarray((np.asarray(picture).clip(0, 65535) >> 8).astype(np.uint8))
    return picture
