"""Cube maps and prefiltering against brute force and closed forms; the cache; panorama files."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from castex import cubemap
from castex.errors import InputError
from castex.light import (
    _cutoff,
    _lobe,
    _specular,
    cached_light,
    level_roughness,
    prefiltered,
    prefiltered_cube,
    read_light,
    write_light,
)
from castex.panorama import GENERATED, generated_panorama, read_panorama


def test_solid_angles_cover_the_sphere():
    assert cubemap.solid_angles(8).sum() * 6 == pytest.approx(4 * math.pi)


def test_every_texel_is_found_where_it_looks():
    side = 8
    face, st = cubemap.locate(cubemap.directions(side).reshape(-1, 3).T)
    column, row = ((st + 1) * side / 2 - 0.5).unbind(0)
    index = (face * side + row.round()) * side + column.round()
    torch.testing.assert_close(index, torch.arange(6 * side * side, dtype=torch.float64))


def test_lookups_are_continuous_over_edges_and_corners(stream):
    """Two directions a hair apart, on either side of an edge, see almost the same."""
    cube = torch.rand(6, 4, 4, 1, generator=stream)
    table = cubemap.padded(cube).reshape(-1, 1)

    def look(direction):
        rows, weights = cubemap.taps(*cubemap.locate(direction), 4, 0)
        return sum(w * table[r.long(), 0] for r, w in zip(rows, weights, strict=True))

    along = torch.linspace(-0.99, 0.99, 101, dtype=torch.float64)
    hair = 1e-5
    jumps = []
    for one, other in (((1, 0), (0, 1)), ((2, 1), (1, 2)), ((0, 2), (2, 0))):
        for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            sides = []
            for major, minor in (one, other):
                direction = torch.zeros(3, 101, dtype=torch.float64)
                direction[3 - major - minor] = along
                direction[major] = 1 + hair
                direction[minor] = 1
                direction[one[0]] *= signs[0]
                direction[one[1]] *= signs[1]
                sides.append(look(direction))
            jumps.append((sides[0] - sides[1]).abs().max())
    assert max(jumps) < 1e-4


def test_padding_takes_the_texels_across_the_edge_and_the_mean_at_corners():
    constant = cubemap.padded(torch.full((6, 4, 4, 2), 0.3))
    torch.testing.assert_close(constant, torch.full_like(constant, 0.3))
    faces = torch.arange(6.0)[:, None, None, None].expand(6, 4, 4, 1).contiguous()
    border = cubemap.padded(faces)
    # Around +x (0): y below 3 and above 2 along s, z below 5 and above 4 along t.
    assert (border[0, 1:5, 0] == 3).all() and (border[0, 1:5, -1] == 2).all()
    assert (border[0, 0, 1:5] == 5).all() and (border[0, -1, 1:5] == 4).all()
    assert border[0, -1, -1].item() == pytest.approx((0 + 2 + 4) / 3)


def test_panorama_axes():
    """The middle looks at -Z, the edges at +Z, three quarters to the right at +X; the top row at +Y."""
    panorama = torch.zeros(64, 128, 3)
    panorama[24:40, 56:72] = torch.tensor([1.0, 0, 0])
    panorama[24:40, 88:104] = torch.tensor([0, 1.0, 0])
    panorama[:6] = torch.tensor([0, 0, 1.0])
    cube = cubemap.from_panorama(panorama, 16)
    middle = cube[:, 7:9, 7:9].mean((1, 2))
    assert (
        middle[5].tolist() == [1, 0, 0]
        and middle[0].tolist() == [0, 1, 0]
        and middle[2].tolist() == [0, 0, 1]
    )
    assert middle[[1, 3, 4]].abs().sum() == 0


@pytest.mark.parametrize("roughness", [0.3, 0.5, 1.0])
def test_specular_filter_is_the_plain_sum(stream, roughness):
    """Blocks, tiles and symmetries change nothing: every texel against every texel in float64."""
    cube = torch.rand(6, 16, 16, 3, generator=stream)
    texel = cubemap.directions(16).reshape(-1, 3)
    weight = _lobe(texel @ texel.T, roughness, _cutoff(roughness)) * cubemap.solid_angles(
        16
    ).flatten().repeat(6)
    expected = weight @ cube.double().reshape(-1, 3) / weight.sum(1, keepdim=True)
    torch.testing.assert_close(
        _specular(cube, roughness).reshape(-1, 3).double(), expected, atol=1e-5, rtol=0
    )


def test_the_lobe_is_cut_where_nvdiffrec_cuts_it():
    """Its published cosine for roughness 0.08."""
    assert _cutoff(0.08) == pytest.approx(0.9997669655912325, abs=2e-6)


def test_levels_follow_the_published_roughness():
    assert [round(level_roughness(k, 5), 3) for k in range(5)] == [0.08, 0.185, 0.29, 0.395, 0.5]


def test_a_constant_panorama_stays_constant():
    light = prefiltered(torch.full((16, 32, 3), 0.7), 64)
    for cube in (light.diffuse, *light.specular):
        assert (cube - 0.7).abs().max() < 3e-4
    assert [cube.shape[1] for cube in light.specular] == [64, 32, 16] and light.diffuse.shape[1] == 16


def test_brightness_scales(stream):
    panorama = torch.rand(16, 32, 3, generator=stream)
    twice, scaled = prefiltered(2 * panorama, 32), prefiltered(panorama, 32).scaled(2.0)
    for a, b in zip((twice.diffuse, *twice.specular), (scaled.diffuse, *scaled.specular), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("side", [16, 48, 100])
def test_impossible_sides_are_refused(side):
    with pytest.raises(InputError, match="power of two"):
        prefiltered_cube(torch.ones(6, side, side, 3))


def test_the_cache_is_keyed_by_content(stream, tmp_path):
    panorama = torch.rand(16, 32, 3, generator=stream)
    light, found = cached_light(panorama, 32, tmp_path)
    again, found_again = cached_light(panorama, 32, tmp_path)
    assert (found, found_again) == (False, True) and torch.equal(light.specular[0], again.specular[0])
    assert not cached_light(panorama * 1.001, 32, tmp_path)[1]
    (damaged,) = [
        p for p in (tmp_path / "lights").iterdir() if torch.equal(read_light(p).diffuse, light.diffuse)
    ]
    damaged.write_bytes(damaged.read_bytes()[:100])
    repaired, found = cached_light(panorama, 32, tmp_path)
    assert not found and torch.equal(repaired.diffuse, light.diffuse)


def test_a_light_survives_its_file(stream, tmp_path):
    light = prefiltered(torch.rand(16, 32, 3, generator=stream), 32)
    write_light(tmp_path / "light.safetensors", light)
    again = read_light(tmp_path / "light.safetensors")
    assert torch.equal(again.brdf, light.brdf) and len(again.specular) == len(light.specular)
    (tmp_path / "no.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match="no prefiltered light"):
        read_light(tmp_path / "no.safetensors")
    write_light(tmp_path / "odd.safetensors", dataclasses.replace(light, specular=light.specular[::-1]))
    with pytest.raises(InputError, match="levels are odd"):
        read_light(tmp_path / "odd.safetensors")


def test_the_real_panoramas_have_their_published_brightness(shared):
    luminance = torch.tensor([0.2126, 0.7152, 0.0722])
    for name, mean, peak in (
        ("mud_road_puresky_1k", 0.389, 0.82),
        ("studio_small_03_1k", 1.848, 3351),
        ("venice_sunset_1k", 0.425, 2090),
    ):
        values = read_panorama(shared / "hdri" / f"{name}.hdr") @ luminance
        assert float(values.mean()) == pytest.approx(mean, abs=5e-4)
        assert float(values.max()) == pytest.approx(peak, rel=5e-3)


@pytest.mark.parametrize("name", GENERATED)
def test_generated_panoramas_are_lights(name):
    panorama = generated_panorama(name)
    assert panorama.shape == (256, 512, 3) and panorama.min() > 0
    assert 0.2 < panorama.mean() < 2
    assert panorama.max() > 10 * panorama.mean(), "something shines"
    # The seam at +Z does not show.
    assert (panorama[:, 0] - panorama[:, -1]).abs().max() < 0.2 * panorama[:, 0].max()


def radiance(path, pixels, *, runs):
    """Write RGBE bytes `height width 4`, flat or run-length encoded."""
    height, width = pixels.shape[:2]
    header = b"#?RADIANCE\n# made by a test\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (height, width)
    body = pixels.tobytes()
    if runs:
        body = b""
        for line in pixels:
            body += bytes([2, 2, width >> 8, width & 255])
            for channel in line.T:
                first = int(channel[0])
                equal = int(np.argmax(channel != first)) or width
                body += bytes([128 + min(equal, 127), first])
                for start in range(min(equal, 127), width, 128):
                    part = channel[start : start + 128].tobytes()
                    body += bytes([len(part)]) + part
    path.write_bytes(header + body)
    return path


@pytest.mark.parametrize("runs", [False, True])
def test_radiance_files(tmp_path, runs):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 4), dtype=np.uint8)
    pixels[:, :9] = pixels[:, :1]
    pixels[..., 3] = 128
    pixels[3, 3] = (10, 20, 30, 0)
    read = read_panorama(radiance(tmp_path / "a.hdr", pixels, runs=runs)).numpy()
    expected = pixels[..., :3] / np.float32(256)
    expected[3, 3] = 0
    np.testing.assert_allclose(read, expected, rtol=1e-6)


@pytest.mark.parametrize("cut", [0, 5, 60, 75, 200, 900])
def test_a_truncated_panorama_is_refused(tmp_path, cut):
    pixels = np.full((20, 40, 4), 130, np.uint8)
    whole = radiance(tmp_path / "a.hdr", pixels, runs=False)
    whole.write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(InputError):
        read_panorama(whole)


def test_a_header_that_lies_is_refused(tmp_path):
    path = tmp_path / "a.hdr"
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 199998\n")
    with pytest.raises(InputError, match="claims"):
        read_panorama(path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"neither \.hdr nor \.exr"):
        read_panorama(tmp_path / "a.png")
    square = radiance(tmp_path / "b.hdr", np.full((20, 20, 4), 130, np.uint8), runs=False)
    with pytest.raises(InputError, match="twice as wide"):
        read_panorama(square)


def test_exr_files(tmp_path):
    exr = pytest.importorskip("OpenEXR")
    pixels = np.random.default_rng(1).random((8, 16, 3), dtype=np.float32) * 50
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {"RGB": pixels}).write(str(tmp_path / "a.exr"))
    np.testing.assert_array_equal(read_panorama(tmp_path / "a.exr").numpy(), pixels)
    (tmp_path / "b.exr").write_bytes(b"no such thing")
    with pytest.raises(InputError, match="cannot be read"):
        read_panorama(tmp_path / "b.exr")
