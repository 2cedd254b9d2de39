"""The BRDF table, the lookups, the shading normal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from surfaces import random_light

from castex.shading import _table_row, brdf_table, pack, shade, specular_light, turned


def test_the_table_has_the_published_digits():
    """At N.V 0.236 and roughness 0.783 nvdiffrec's file holds 0.7089 and 0.0260; Schlick's k gives 0.587."""
    scale, bias = brdf_table()[round(0.783 * 256 - 0.5), round(0.236 * 256 - 0.5)].tolist()
    assert scale == pytest.approx(0.7089, abs=5e-4) and bias == pytest.approx(0.0260, abs=5e-4)


def test_the_table_is_integrated_to_three_digits():
    """Against five times as many nodes."""
    cosine = (np.arange(0, 256, 5) + 0.5) / 256
    node, weight = np.polynomial.legendre.leggauss(300)
    azimuth = np.cos((np.arange(160) + 0.5) / 160 * np.pi)
    for row in (3, 40, 128, 255):
        fine = _table_row(
            (row + 0.5) / 256, cosine, 1 - (1 - node) ** 2 / 4, weight * (1 - node) / 2, azimuth
        )
        np.testing.assert_allclose(brdf_table()[row, ::5].numpy(), fine, atol=5e-4)


def test_the_table_conserves_energy():
    total = brdf_table().sum(-1)
    assert total.max() <= 1 + 1e-4 and total.min() > 0.2
    assert brdf_table().min() >= 0
    assert (total[0] > 0.99).all(), "a mirror loses nothing"


def test_turning_goes_from_z_to_x():
    z = torch.tensor([[0.0], [0.3], [1.0]])
    torch.testing.assert_close(
        turned(z, torch.pi / 2).flatten(), torch.tensor([1.0, 0.3, 0.0]), atol=1e-6, rtol=0
    )


def tables(stream):
    light = random_light(stream, side=64)
    return light, pack(light.diffuse, light.specular, light.brdf, torch.float64, torch.device("cpu"))


def test_specular_levels_meet_their_roughness(stream):
    """At the roughness of a level the lookup is that level alone; the knee at 0.5 is continuous."""
    light, packed = tables(stream)
    direction = torch.nn.functional.normalize(
        torch.randn(3, 50, generator=stream, dtype=torch.float64), dim=0
    )
    for level, roughness in enumerate((0.08, 0.5, 1.0)):
        only = pack(
            light.diffuse, (light.specular[level],) * 3, light.brdf, torch.float64, torch.device("cpu")
        )
        rough = torch.full((50,), roughness, dtype=torch.float64)
        torch.testing.assert_close(
            specular_light(direction, rough, packed), specular_light(direction, rough, only)
        )
    below, above = (
        specular_light(direction, torch.full((50,), 0.5 + hair, dtype=torch.float64), packed)
        for hair in (-1e-9, 1e-9)
    )
    torch.testing.assert_close(below, above)


def test_a_dielectric_and_a_metal_differ_as_the_formula_says(stream):
    """Black metal reflects only the bias term; metallic 1 hides the albedo's diffuse light."""
    _, packed = tables(stream)
    count = 20
    frame = torch.eye(3, dtype=torch.float64)
    args = {
        "roughness": torch.full((count,), 0.4, dtype=torch.float64),
        "normal": frame[2][:, None].expand(3, count),
        "frame_normal": frame[2][:, None].expand(3, count),
        "frame_tangent": frame[0][:, None].expand(3, count),
        "view": torch.nn.functional.normalize(
            torch.rand(3, count, generator=stream, dtype=torch.float64), dim=0
        ),
        "tables": packed,
        "light_rotation": 0.0,
    }
    white, black = torch.ones(3, count, dtype=torch.float64), torch.zeros(3, count, dtype=torch.float64)
    metal, plastic = torch.ones(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    dark_metal = shade(albedo=black, metallic=metal, **args)
    half = shade(albedo=white * 0.5, metallic=metal, **args)
    full = shade(albedo=white, metallic=metal, **args)
    torch.testing.assert_close(half, (dark_metal + full) / 2)
    coat = shade(albedo=black, metallic=plastic, **args)
    torch.testing.assert_close(coat, dark_metal + 0.04 * (full - dark_metal))


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.0), (0.0, 0.5)])
def test_a_bent_normal_leans_along_the_tangent_or_upwards(stream, x, y):
    """n_x leans towards T, n_y towards N x T: the convention of glTF on unmirrored charts."""
    from castex.shading import _shading_normal

    frame = torch.eye(3)
    tangent, normal = frame[0][:, None], frame[2][:, None]
    bent = _shading_normal(torch.tensor([[x], [y], [1.0]]), normal, tangent)
    assert (bent[0] > 0) == (x > 0) and (bent[1] > 0) == (y > 0)
