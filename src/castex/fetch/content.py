"""Is a file what its name says? Error pages and Git LFS pointers arrive under any name."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from castex.errors import InputError
from castex.fetch.attribution import glb_asset

# First bytes by suffix; a .pth is a zip archive, or a pickle in its older form.
BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    ".hdr": (b"#?",),
    ".exr": (b"\x76\x2f\x31\x01",),
    ".gz": (b"\x1f\x8b",),
    ".zip": (b"PK",),
    ".pth": (b"PK\x03\x04", b"\x80\x02"),
}
IMPOSTORS = (b"<!doctype", b"<html", b"version https://git-lfs")
LARGEST_UNPACKED = 4_000_000_000
CHUNK = 1 << 20


def check_content(path: Path, suffix: str) -> None:
    """InputError when the bytes of a file contradict the suffix that it has, or is to have.

    GLB: the header agrees with the size. Gzip: unpacks to its end with the right checksum. Others: the
    first bytes. Nothing may be an HTML page or a Git LFS pointer.
    """
    with path.open("rb") as stream:
        beginning = stream.read(64)
    known = BEGINNINGS.get(suffix, (b"",))
    if beginning.lower().startswith(IMPOSTORS) or not beginning or not beginning.startswith(known):
        raise InputError(f"it begins with {beginning[:24]!r}, which is no {suffix or 'data'} file")
    if suffix == ".glb":
        glb_asset(path)
    if suffix == ".gz":
        _check_gzip(path)


def _check_gzip(path: Path) -> None:
    unpacked = 0
    try:
        with gzip.open(path) as stream:
            while chunk := stream.read(CHUNK):
                unpacked += len(chunk)
                if unpacked > LARGEST_UNPACKED:
                    raise InputError(f"it unpacks to more than {LARGEST_UNPACKED} bytes")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"its gzip stream is broken or cut off ({error})") from error
