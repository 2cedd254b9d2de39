"""Maps as PNG files: quantisation, colour spaces, defaults, one-sentence errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from castex.errors import InputError
from castex.maps import TextureMaps, grey_maps, linear_to_srgb
from castex.maps_png import NAMES, map_files, missing_maps, read_maps_png, write_maps_png


def drawn(seed, height, width):
    """Independent values in every texel; normals over the whole sphere."""
    stream = torch.Generator().manual_seed(seed)
    albedo, roughness, metallic = (torch.rand(height, width, n, generator=stream) for n in (3, 1, 1))
    normal = torch.randn(height, width, 3, generator=stream)
    return TextureMaps(albedo, roughness, metallic, normal / normal.norm(dim=-1, keepdim=True))


def save(path, pixels):
    Pillow.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(8, 20), width=st.integers(8, 20))
def test_round_trip_is_within_half_a_step_of_8_bits(tmp_path_factory, seed, height, width):
    folder = tmp_path_factory.mktemp("maps")
    maps = drawn(seed, height, width)
    write_maps_png(folder, maps)
    back = read_maps_png(folder)
    half = 0.5 / 255 + 1e-6
    assert (linear_to_srgb(back.albedo) - linear_to_srgb(maps.albedo)).abs().max() <= half
    assert (back.roughness - maps.roughness).abs().max() <= half
    assert (back.metallic - maps.metallic).abs().max() <= half
    assert ((back.normal - maps.normal) / 2).abs().max() <= half
    assert map_files(back) == map_files(maps), "reading and writing again changes no byte"


def test_files_hold_what_other_programs_expect(tmp_path):
    maps = TextureMaps(
        albedo=torch.tensor([0.0, 0.2158605, 1.0]).expand(8, 8, 3),
        roughness=torch.full((8, 8, 1), 0.2),
        metallic=torch.full((8, 8, 1), 1.0),
        normal=torch.tensor([1.0, -1.0, 0.0]).expand(8, 8, 3),
    )
    write_maps_png(tmp_path, maps)
    texel = {name: np.asarray(Pillow.open(tmp_path / f"{name}.png"))[3, 3].tolist() for name in NAMES}
    # 0.2158605 is the middle of the sRGB scale: bytes 128.
    assert texel == {
        "albedo": [0, 128, 255],
        "roughness": [51] * 3,
        "metallic": [255] * 3,
        "normal": [255, 0, 128],
    }


def test_missing_maps_take_the_grey_start(tmp_path):
    save(tmp_path / "albedo.png", np.full((8, 12, 3), 255))
    assert missing_maps(tmp_path) == ["roughness", "metallic", "normal"]
    maps, grey = read_maps_png(tmp_path), grey_maps(1)
    for name in ("roughness", "metallic", "normal"):
        expected = getattr(grey, name).expand(8, 12, -1)
        torch.testing.assert_close(getattr(maps, name), expected)
    (tmp_path / "albedo.png").unlink()
    with pytest.raises(InputError, match=r"no albedo\.png"):
        read_maps_png(tmp_path)


def test_grey_pictures_of_any_kind_are_read(tmp_path):
    write_maps_png(tmp_path, grey_maps(8))
    save(tmp_path / "roughness.png", np.full((8, 8), 51))
    Pillow.fromarray(np.full((8, 8), 13107, dtype=np.uint16)).save(tmp_path / "metallic.png")
    maps = read_maps_png(tmp_path)
    torch.testing.assert_close(maps.roughness, torch.full((8, 8, 1), 0.2))
    torch.testing.assert_close(maps.metallic, torch.full((8, 8, 1), 0.2))


def test_unusable_folders_give_one_sentence(tmp_path):
    write_maps_png(tmp_path, grey_maps(8))
    save(tmp_path / "roughness.png", np.full((8, 16), 7))
    with pytest.raises(InputError, match=r"roughness\.png is 16 x 8 texels and albedo\.png 8 x 8"):
        read_maps_png(tmp_path)
    packed = np.zeros((8, 8, 3))
    packed[..., 1] = 200
    save(tmp_path / "roughness.png", packed)
    with pytest.raises(InputError, match=r"roughness\.png is coloured"):
        read_maps_png(tmp_path)
    (tmp_path / "roughness.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    with pytest.raises(InputError, match=r"roughness\.png cannot be read"):
        read_maps_png(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_refused_and_old_files_stay(tmp_path, name):
    write_maps_png(tmp_path, grey_maps(8))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    broken = getattr(grey_maps(8, 0.25), name).clone()
    broken[2, 3, 0] = torch.nan
    with pytest.raises(InputError, match=f"{name} map holds NaN"):
        write_maps_png(tmp_path, dataclasses.replace(grey_maps(8, 0.25), **{name: broken}))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
