"""Panorama files are judged by their headers before they cost memory or time, and decoded row by row."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from castex.errors import InputError
from castex.panorama import MAX_PIXELS, MAX_RADIANCE_BYTES, read_panorama

MB = 2**20


def header(height, width):
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (height, width)


def black_row(width):
    """One scanline in as few bytes as there can be."""
    runs = [127] * (width // 127) + ([width % 127] if width % 127 else [])
    return bytes([2, 2, width >> 8, width & 255]) + b"".join(bytes([128 + run, 0]) for run in runs) * 4


def bomb(path, height, width):
    path.write_bytes(header(height, width) + black_row(width) * height)
    return path


def exr_header(path, height, width):
    """The head of an EXR picture that claims another size than it has."""
    exr = pytest.importorskip("OpenEXR")
    pixels = np.zeros((4, 8, 3), np.float32)
    exr.File({"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}, {"RGB": pixels}).write(
        str(path)
    )
    small, large = (np.array([0, 0, w - 1, h - 1], "<i4").tobytes() for h, w in ((4, 8), (height, width)))
    content = path.read_bytes()
    assert content.count(small) == 2, "data window and display window"
    path.write_bytes(content.replace(small, large))
    return path


def refused(path, match):
    """Refused at once and without memory."""
    start = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=match):
            read_panorama(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * MB
    finally:
        tracemalloc.stop()
    assert time.monotonic() - start < 5


def test_a_small_file_that_claims_134_million_pixels_is_refused(tmp_path):
    path = bomb(tmp_path / "a.hdr", 8192, 16384)
    assert path.stat().st_size < 10 * MB
    refused(path, r"claims 16384 x 8192 pixels; give at most 33554432, such as 8192 x 4096")


def test_the_largest_panorama_stays_below_a_gigabyte(tmp_path):
    path = bomb(tmp_path / "a.hdr", 4096, 8192)
    code = (
        "import re, sys; from pathlib import Path; from castex.panorama import read_panorama\n"
        # Not getrusage: its peak is inherited from the process that started this one.
        "status = Path('/proc/self/status')\n"
        "used = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1])\n"
        "before = used(); made = read_panorama(Path(sys.argv[1])); print(*made.shape, used() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    height, width, channels, kilobytes = map(int, done.stdout.split())
    assert (height, width, channels) == (4096, 8192, 3)
    assert 0.5 < 1024 * kilobytes / (height * width * channels * 4) < 1.5


def test_an_exr_picture_is_not_held_twice_over(tmp_path):
    exr = pytest.importorskip("OpenEXR")
    size = {"compression": exr.ZIPS_COMPRESSION, "type": exr.scanlineimage}
    pixels = np.full((1024, 2048, 4), 0.5, np.float32)
    exr.File(size, {"RGBA": pixels}).write(str(tmp_path / "a.exr"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_panorama(tmp_path / "a.exr").eq(0.5).all()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < 2.5 * pixels.nbytes


@pytest.mark.parametrize("content", [b"", bytes(1000), bytes([2, 2, 32, 0]) + bytes(1000)])
def test_a_file_too_short_for_its_header_is_refused_early(tmp_path, content):
    path = tmp_path / "a.hdr"
    path.write_bytes(header(4096, 8192) + content)
    refused(path, "is truncated or damaged")


def test_the_shape_is_judged_before_the_pixels(tmp_path):
    path = tmp_path / "a.hdr"
    path.write_bytes(header(4096, 4096))
    refused(path, "twice as wide as high")
    path.write_bytes(header(0, 0))
    refused(path, "claims 0 x 0 pixels")


def test_a_giant_file_is_not_read(tmp_path):
    path = tmp_path / "a.hdr"
    with path.open("wb") as stream:
        stream.write(header(2, 4))
        stream.truncate(MAX_RADIANCE_BYTES + 1)
    refused(path, f"has {MAX_RADIANCE_BYTES + 1} bytes; give a panorama of at most")
    sparse = tmp_path / "a.exr"
    with sparse.open("wb") as stream:
        stream.truncate(17 * MAX_PIXELS + 1)
    refused(sparse, "give a panorama of at most")


def test_a_run_beyond_its_scanline_is_refused(tmp_path):
    good = black_row(16)
    path = tmp_path / "a.hdr"
    path.write_bytes(header(8, 16) + good * 8)
    assert read_panorama(path).eq(0).all()
    for bad in (good[:4] + bytes([128 + 17, 0]) + good[6:], good[:4] + bytes([0, 0]) * 4):
        path.write_bytes(header(8, 16) + good * 7 + bad + bytes(100))
        with pytest.raises(InputError, match="truncated or damaged"):
            read_panorama(path)


@pytest.mark.parametrize("exponent", [0, 1, 9, 128, 160, 255])
def test_every_exponent_has_its_scale(tmp_path, exponent):
    path = tmp_path / "a.hdr"
    path.write_bytes(header(1, 2) + bytes([200, 1, 0, exponent]) * 2)
    expected = 0.0 if exponent == 0 else 2.0 ** (exponent - 136)
    np.testing.assert_array_equal(
        read_panorama(path).numpy(), np.float32([[[200 * expected, expected, 0]] * 2])
    )


@pytest.mark.parametrize("size", [(8192, 16384), (2**20, 2**21)])
def test_an_exr_picture_that_claims_too_much_is_refused(tmp_path, size):
    refused(exr_header(tmp_path / "a.exr", *size), rf"claims {size[1]} x {size[0]} pixels")


def test_an_exr_picture_cut_short_costs_little(tmp_path):
    path = exr_header(tmp_path / "a.exr", 4096, 8192)
    start = time.monotonic()
    with pytest.raises(InputError, match="cannot be read as an RGB EXR picture"):
        read_panorama(path)
    assert time.monotonic() - start < 5


def test_parts_and_channels_of_an_exr_picture(tmp_path):
    exr = pytest.importorskip("OpenEXR")
    pixels = np.ones((4, 8, 3), np.float32)
    kind = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    parts = [exr.Part({**kind, "name": name}, {"RGB": pixels}, name) for name in ("a", "b")]
    exr.File(parts).write(str(tmp_path / "parts.exr"))
    refused(tmp_path / "parts.exr", "has 2 parts; save the panorama alone")
    many = dict.fromkeys(("R", "G", "B", "A", "Z"), pixels[..., 0])
    exr.File(kind, many).write(str(tmp_path / "many.exr"))
    refused(tmp_path / "many.exr", "has 5 channels")
    exr.File(kind, {"Y": pixels[..., 0]}).write(str(tmp_path / "grey.exr"))
    refused(tmp_path / "grey.exr", "cannot be read as an RGB EXR picture")


def test_radiance_that_is_no_radiance_is_refused(tmp_path):
    exr = pytest.importorskip("OpenEXR")
    kind = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    for wrong in (np.nan, np.inf, -1.0):
        pixels = np.ones((4, 8, 3), np.float32)
        pixels[1, 2, 1] = wrong
        exr.File(kind, {"RGB": pixels}).write(str(tmp_path / "a.exr"))
        with pytest.raises(InputError, match="negative, NaN or infinite radiance"):
            read_panorama(tmp_path / "a.exr")
