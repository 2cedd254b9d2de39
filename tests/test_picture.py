"""Pictures at the border: every kind of file is handled or refused in one sentence."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from castex.errors import InputError
from castex.picture import bundled_picture, read_picture, square, to_bytes, write_picture


def written(folder, pixels, name="a.png", **kwargs):
    iio.imwrite(folder / name, pixels, **kwargs)
    return folder / name


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_rgb_is_divided_by_255(tmp_path, rgb):
    picture = read_picture(written(tmp_path, rgb))
    assert picture.shape == (1, 3, 20, 30) and picture.dtype == torch.float32
    np.testing.assert_array_equal(to_bytes(picture), rgb)


def test_grey_becomes_three_equal_channels(tmp_path, rgb):
    picture = read_picture(written(tmp_path, rgb[..., 0]))
    assert picture.shape == (1, 3, 20, 30)
    np.testing.assert_array_equal(to_bytes(picture), np.repeat(rgb[..., :1], 3, axis=2))


def test_alpha_is_composited_on_white(tmp_path):
    pixels = np.zeros((10, 10, 4), dtype=np.uint8)
    pixels[..., 0], pixels[:5, :, 3] = 255, 255
    picture = read_picture(written(tmp_path, pixels))
    assert picture[0, :, 0, 0].tolist() == [1, 0, 0], "opaque red stays red"
    assert picture[0, :, 9, 0].tolist() == [1, 1, 1], "transparent red is white"


def test_grey_with_alpha(tmp_path):
    grey, alpha = (Pillow.new("L", (10, 10), value) for value in (0, 51))
    Pillow.merge("LA", (grey, alpha)).save(tmp_path / "a.png")
    torch.testing.assert_close(read_picture(tmp_path / "a.png"), torch.full((1, 3, 10, 10), 0.8))


@pytest.mark.parametrize("channels", [None, 3])
def test_sixteen_bits(tmp_path, channels):
    shape = (12, 12) if channels is None else (12, 12, channels)
    pixels = np.random.default_rng(0).integers(0, 65536, shape, dtype=np.uint16)
    path = tmp_path / "a.tiff" if channels else tmp_path / "a.png"
    iio.imwrite(path, pixels, **({"plugin": "tifffile"} if channels else {}))
    values = read_picture(path)[0, 0].numpy()
    np.testing.assert_allclose(values, (pixels if channels is None else pixels[..., 0]) / 65535, atol=1e-6)


def test_floating_point_in_range(tmp_path):
    pixels = np.random.default_rng(0).random((12, 12, 3), dtype=np.float32)
    path = written(tmp_path, pixels, "a.tiff", plugin="tifffile")
    np.testing.assert_array_equal(read_picture(path)[0].permute(1, 2, 0).numpy(), pixels)


def test_cmyk_is_converted_and_not_taken_for_alpha(tmp_path):
    Pillow.new("CMYK", (12, 12), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    red, green, blue = read_picture(tmp_path / "red.jpg")[0].mean((1, 2))
    assert red > 0.9 and green < 0.1 and blue < 0.1


def test_palettes_with_and_without_transparency(tmp_path, rgb):
    picture = Pillow.fromarray(rgb).quantize(8)
    picture.save(tmp_path / "p.png")
    np.testing.assert_array_equal(
        to_bytes(read_picture(tmp_path / "p.png")), np.asarray(picture.convert("RGB"))
    )
    picture.save(tmp_path / "t.png", transparency=0)
    first = np.asarray(picture) == 0
    assert (to_bytes(read_picture(tmp_path / "t.png"))[first] == 255).all()


def test_a_cameras_orientation_is_followed(tmp_path, rgb):
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    Pillow.fromarray(rgb).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(to_bytes(read_picture(tmp_path / "a.png")), np.rot90(rgb, -1))


def test_black_and_white(tmp_path):
    Pillow.fromarray(np.eye(12, dtype=bool)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png")[0, 0].tolist() == np.eye(12).tolist()


def test_other_colour_models_in_tiff_are_refused(tmp_path):
    Pillow.new("LAB", (12, 12)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="stores CIELAB colours; save it as grey or RGB"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (7.5, r"0 to 7\.5; scale"), (-1, "-1 to")],
)
def test_unusable_values_are_named(tmp_path, value, sentence):
    pixels = np.zeros((12, 12, 3), dtype=np.float32)
    pixels[3, 4, 1] = value
    with pytest.raises(InputError, match=sentence):
        read_picture(written(tmp_path, pixels, "a.tiff", plugin="tifffile"))


def test_signed_integers_are_refused(tmp_path):
    path = written(tmp_path, np.full((12, 12), -5, dtype=np.int16), "a.tiff", plugin="tifffile")
    with pytest.raises(InputError, match="int16 values; save it with 8 or 16"):
        read_picture(path)


def test_missing_and_broken_files(tmp_path, rgb):
    with pytest.raises(InputError, match=r"no picture at .*none\.png"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(InputError, match="no picture at"):
        read_picture(tmp_path)
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(InputError, match=r"text\.png cannot be read as a picture"):
        read_picture(tmp_path / "text.png")
    whole = written(tmp_path, rgb).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.png cannot be read"):
        read_picture(tmp_path / "cut.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.png cannot be read"):
        read_picture(tmp_path / "empty.png")


def test_smaller_than_the_stride(tmp_path, rgb):
    with pytest.raises(InputError, match="30 x 7 pixels; both sides must be at least 8"):
        read_picture(written(tmp_path, rgb[:7]))


def test_a_huge_picture_is_refused_from_its_header(tmp_path, rgb):
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + end)
    with pytest.raises(InputError, match=r"bomb\.png"):
        read_picture(tmp_path / "bomb.png")


def test_square_crops_the_centre(tmp_path):
    picture = torch.zeros(1, 3, 10, 20)
    picture[..., 5:15] = 1
    assert (square(picture, 10) == 1).all()


def test_square_gives_a_picture_that_can_be_stored(tmp_path):
    target = square(bundled_picture("coffee"), 48)
    assert target.shape == (1, 3, 48, 48)
    write_picture(tmp_path / "a.png", target)
    assert torch.equal(read_picture(tmp_path / "a.png"), target)


def test_square_resizing_is_antialiased():
    """One white column in four: plain bilinear sampling would look between the black ones and see none."""
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::4] = 1
    assert (square(stripes, 16) - 0.25).abs().max() < 0.15


def test_bundled_pictures_are_offline_and_named_when_unknown():
    assert bundled_picture("astronaut").shape == (1, 3, 512, 512)
    assert bundled_picture("rocket").shape == (1, 3, 427, 640), "a JPEG"
    for name in ("nobody", "../../secret", ""):
        with pytest.raises(InputError, match="bundles no photograph"):
            bundled_picture(name)
