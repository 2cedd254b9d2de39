"""Procedural materials: in range, repeatable, coarse enough, told apart, without seams, with relief."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.errors import InputError
from castex.maps import linear_to_srgb
from castex.mesh import with_tangents
from castex.training.materials import (
    COLOURS,
    FINEST,
    MATERIALS,
    evaluate,
    linear_colour,
    material_maps,
    revolution_axis,
    texel_points,
)
from castex.training.noise import cellular, fractal, gradient_noise, hashed, uniform
from castex.training.shapes import build

EVERY = pytest.mark.parametrize("material", MATERIALS)
METALS = {"rusty", "golden"}


def points(count, seed=0):
    draws = torch.Generator().manual_seed(seed)
    position = torch.rand(count, 3, generator=draws) * 2 - 1
    normal = torch.randn(count, 3, generator=draws)
    return position, torch.nn.functional.normalize(normal, dim=1)


def mesh(name):
    found = build(name).primitives[0]
    arrays = (found.v_position, found.v_normal, found.v_texcoord, found.t_vertex_idx)
    return with_tangents(*(torch.from_numpy(array) for array in arrays))


def test_twelve_materials_in_eight_colours():
    assert len(MATERIALS) == 12 and len(COLOURS) == 8
    position, normal = points(4)
    with pytest.raises(InputError, match="no material called 'velvet'"):
        evaluate("velvet", "red", position, normal, seed=0)
    with pytest.raises(InputError, match="no colour called 'pink'"):
        evaluate("plain", "pink", position, normal, seed=0)
    # Linear, not sRGB: a middle grey is darker in numbers.
    assert linear_colour("blue")[1] < COLOURS["blue"][1] / 2


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MATERIALS), st.sampled_from(list(COLOURS)), st.integers(0, 2**31), st.booleans())
def test_values_are_in_range_and_repeatable(material, colour, seed, revolved):
    position, normal = points(500, seed % 1000)
    axis = (0.1, -0.05) if revolved else None
    first, second = (evaluate(material, colour, position, normal, seed=seed, axis=axis) for _ in range(2))
    for name in ("albedo", "roughness", "metallic", "height"):
        values = getattr(first, name)
        assert torch.equal(values, getattr(second, name))
        assert torch.isfinite(values).all()
        low, high = (-0.05, 0.05) if name == "height" else (0, 1)
        assert values.min() >= low and values.max() <= high
    assert first.roughness.min() >= 0.1


@EVERY
def test_a_point_does_not_depend_on_its_neighbours(material):
    position, normal = points(300)
    whole = evaluate(material, "blue", position, normal, seed=5)
    some = torch.randperm(300, generator=torch.Generator().manual_seed(1))[:70]
    part = evaluate(material, "blue", position[some], normal[some], seed=5)
    torch.testing.assert_close(part.albedo, whole.albedo[some], atol=1e-5, rtol=0)
    torch.testing.assert_close(part.height, whole.height[some], atol=1e-5, rtol=0)


@EVERY
def test_the_seed_moves_the_pattern(material):
    position, normal = points(2000)
    a, b = (evaluate(material, "green", position, normal, seed=seed) for seed in (1, 2))
    changed = (a.albedo - b.albedo).abs().max() + (a.height - b.height).abs().max()
    assert (changed == 0) if material == "plain" else (changed > 1e-3)


@EVERY
def test_colours_are_told_apart(material):
    position, normal = points(4000)
    means = {
        colour: linear_to_srgb(evaluate(material, colour, position, normal, seed=3).albedo).mean(0)
        for colour in COLOURS
    }
    # Gold and rust keep their own colour, and a pattern shares half of its area with a second one.
    least = 0.02 if material in METALS else 0.07
    for a, b in itertools.combinations(COLOURS, 2):
        assert (means[a] - means[b]).norm() > least, (a, b)


@EVERY
def test_the_colour_dominates(material):
    """The mean hue of a pattern is that of its colour; gold stays golden, and oxide brown, in any."""
    position, normal = points(4000)
    for colour in ("red", "green", "blue"):
        samples = evaluate(material, colour, position, normal, seed=3)
        shown = samples.albedo[samples.metallic[:, 0] < 0.1] if material == "rusty" else samples.albedo
        expected = "red" if material in METALS else colour
        assert shown.mean(0).argmax() == ("red", "green", "blue").index(expected)


def test_metals_are_metal_and_the_rest_is_not():
    position, normal = points(4000)
    for material in MATERIALS:
        samples = evaluate(material, "white", position, normal, seed=0)
        if material == "golden":
            assert (samples.metallic == 1).all() and samples.roughness.mean() == pytest.approx(0.25)
        elif material == "rusty":
            bare, oxide = samples.metallic[:, 0] > 0.9, samples.metallic[:, 0] < 0.1
            assert 0.2 < bare.float().mean() < 0.8 and 0.2 < oxide.float().mean() < 0.8
            assert samples.roughness[oxide].min() > samples.roughness[bare].max()
        else:
            assert (samples.metallic == 0).all()
    smooth, rough = (
        evaluate(name, "blue", position, normal, seed=0).roughness.mean() for name in ("marble", "denim")
    )
    assert smooth < 0.25 and rough > 0.9


@EVERY
@pytest.mark.parametrize("finest", [FINEST, 0.5])
def test_nothing_is_finer_than_promised(material, finest):
    """Along lines on a wall the albedo crosses its middle at most twice per shortest period, on average."""
    at = torch.linspace(-1, 1, 1001)
    crossings = []
    for k in range(24):
        angle, shift = math.pi * k / 24, 0.07 * k - 0.8
        x, y = at * math.cos(angle) - shift * math.sin(angle), at * math.sin(angle) + shift * math.cos(angle)
        position = torch.stack([x, y, torch.full_like(x, 0.613)], dim=1)
        normal = torch.tensor([0.0, 0.0, 1.0]).expand_as(position)
        value = evaluate(material, "red", position, normal, seed=k, finest=finest).albedo.mean(1)
        middle = (value.min() + value.max()) / 2
        above = (
            (value > middle)
            if value.max() - value.min() > 0.02
            else torch.zeros_like(value, dtype=torch.bool)
        )
        crossings.append(float((above[1:] != above[:-1]).sum()))
    assert sum(crossings) / len(crossings) <= 2 * 2 / finest
    if material not in {"plain", "golden"}:
        assert max(crossings) >= 1


@pytest.mark.parametrize("material", ["checkered", "dotted", "brick", "denim"])
def test_patterns_close_around_a_body_of_revolution(material):
    height = torch.linspace(-0.9, 0.9, 400)
    axis = (0.2, -0.1)
    behind = []
    for angle in (math.pi - 1e-4, -math.pi + 1e-4):
        away = torch.tensor([math.sin(angle), 0.0, math.cos(angle)])
        place = torch.tensor([axis[0], 0.0, axis[1]]) + 0.62 * away
        position = place + height[:, None] * torch.tensor([0.0, 1.0, 0.0])
        normal = away.expand_as(position).contiguous()
        behind.append(evaluate(material, "blue", position, normal, seed=7, axis=axis).albedo)
    different = ((behind[0] - behind[1]).abs().amax(1) > 0.05).float().mean()
    # Neighbouring bricks differ in shade; their joints must still meet.
    assert different < (0.9 if material == "brick" else 0.02)
    if material == "brick":
        mortar = [(values.max(1).values - values.min(1).values) < 0.1 for values in behind]
        assert (mortar[0] != mortar[1]).float().mean() < 0.03


@pytest.mark.parametrize(
    ("name", "x"),
    [("vase", 0.0), ("mug", -0.32), ("lamp", 0.0), ("house", None), ("chair", None), ("car", None)],
)
def test_bodies_of_revolution_are_recognised(name, x):
    axis = texel_points(mesh(name), 96).axis
    assert (axis is None) == (x is None)
    if axis is not None:
        assert axis == pytest.approx((x, 0.0), abs=0.02)


def test_no_points_have_no_axis():
    assert revolution_axis(torch.zeros(0, 3), torch.zeros(0, 3)) is None
    level = torch.tensor([[0.0, 1.0, 0.0]]).expand(5, 3)
    assert revolution_axis(torch.zeros(5, 3), level) is None


def test_maps_have_no_seams():
    """Where the atlas is cut, both sides show the same."""
    vase = mesh("vase")
    maps = material_maps(texel_points(vase, 256), "marble", "green", seed=2)
    vertices = torch.cat([vase.v_position, vase.v_normal], dim=1)
    _, joined, count = torch.unique(vertices, dim=0, return_inverse=True, return_counts=True)
    texel = (vase.v_texcoord * 256).floor().long().clamp(0, 255)
    albedo = maps.albedo[texel[:, 1], texel[:, 0]]
    mean = torch.zeros(len(count), 3).index_add_(0, joined, albedo) / count[:, None]
    torn = count[joined] > 1
    assert torn.sum() > 100
    spread = (albedo - albedo.mean(0)).abs().mean()
    assert spread > 0.05
    assert (albedo - mean[joined])[torn].abs().mean() < 0.2 * spread


def quad(turns):
    """A square in the plane z = 0 whose texture is turned by quarters: u along +x, +y, -x or -y."""
    position = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    texcoord = torch.tensor([[0.0, 1], [1, 1], [1, 0], [0, 0]]).roll(turns, 0)
    normal = torch.tensor([[0.0, 0, 1]]).expand(4, 3).contiguous()
    return with_tangents(position, normal, texcoord, torch.tensor([[0, 1, 2], [0, 2, 3]]))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("material", ["brick", "golden", "rusty"])
def test_relief_leans_against_the_slope(material, turns):
    """The world-space normal of a height field is (-dh/dx, -dh/dy, 1), however the atlas lies."""
    seen = texel_points(quad(turns), 64)
    maps = material_maps(seen, material, "red", seed=4)
    assert seen.filled.all()
    n = maps.normal.reshape(-1, 3)
    world = (
        seen.tangent * n[:, :1]
        + torch.linalg.cross(seen.normal, seen.tangent) * n[:, 1:2]
        + seen.normal * n[:, 2:]
    )
    step = 0.03 * FINEST

    def height(offset):
        there = seen.position + torch.tensor(offset)
        return evaluate(material, "red", there, seen.normal, seed=4, axis=seen.axis).height[:, 0]

    slope_x = (height((step, 0.0, 0.0)) - height((-step, 0.0, 0.0))) / (2 * step)
    slope_y = (height((0.0, step, 0.0)) - height((0.0, -step, 0.0))) / (2 * step)
    expected = torch.stack([-slope_x, -slope_y, torch.ones_like(slope_x)], dim=1)
    expected = torch.nn.functional.normalize(expected, dim=1)
    torch.testing.assert_close(world, expected, atol=2e-3, rtol=0)
    assert n[:, 2].min() < 0.995, "there is relief"


def test_maps_of_a_mesh_are_whole():
    seen = texel_points(mesh("house"), 64)
    maps = material_maps(seen, "dotted", "yellow", seed=0)
    assert maps.albedo.shape == (64, 64, 3) and maps.roughness.shape == (64, 64, 1)
    assert (maps.normal == torch.tensor([0.0, 0.0, 1.0])).all(), "paint has no relief"
    assert 0 < seen.filled.float().mean() < 1
    assert (maps.roughness > 0.1).all(), "texels between the islands are filled too"


def test_hash_is_the_same_everywhere():
    cells = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -2, -3], [1000, -1000, 77]])
    bits = hashed(cells, 42)
    assert bits.min() >= 0 and bits.max() < 2**32 and len(bits.unique()) == len(cells)
    assert bits.tolist() == [2607972820, 3637316356, 720192784, 1070658696, 3740755897, 946953724]
    assert not torch.equal(bits, hashed(cells, 43))


def test_uniform_is_uniform_and_unrelated_along_every_axis():
    side = torch.arange(-20, 20)
    cells = torch.stack(torch.meshgrid(side, side, side, indexing="ij"), dim=-1)
    values = uniform(cells.reshape(-1, 3), 3).reshape(40, 40, 40)
    assert values.min() >= 0 and values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.01) and values.var() == pytest.approx(1 / 12, abs=0.003)
    centred = values - 0.5
    for axis in range(3):
        correlation = (centred * centred.roll(1, axis)).mean() * 12
        assert abs(float(correlation)) < 0.02


def test_noise_is_smooth_bounded_and_zero_on_the_lattice():
    position, _ = points(4000)
    position = position * 20
    value = gradient_noise(position, 1)
    assert value.abs().max() <= 1 and value.std() > 0.15
    assert gradient_noise(position.round(), 1).abs().max() < 1e-5
    near = gradient_noise(position + 1e-3, 1)
    assert (near - value).abs().max() < 0.02
    assert fractal(position, 1, octaves=1).equal(value)


def test_cells_are_owned_by_the_nearest_centre():
    position, _ = points(2000)
    distance, owner = cellular(position * 5, 9, jitter=0.0)
    centre = (position * 5).floor() + 0.5
    torch.testing.assert_close(distance, (position * 5 - centre).norm(dim=1), atol=1e-5, rtol=0)
    assert owner.min() >= 0 and owner.max() < 1 and owner.std() > 0.2
    jittered, _ = cellular(position * 5, 9)
    moved, _ = cellular(position * 5 + 1e-3, 9)
    assert (jittered - moved).abs().max() < 2e-3
