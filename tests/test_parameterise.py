"""Explicit maps, deep image prior and hash grid: ranges, starts, and what is learned."""

from __future__ import annotations

import pytest
import torch
from surfaces import random_maps as any_maps
from surfaces import sphere
from torch.nn.functional import normalize

from castex.maps import grey_maps
from castex.parameterise import ExplicitTexture, HashGridTexture, NeuralTexture, in_box, random_maps
from castex.protocols import Texture
from castex.settings.synthesis import ALL_MAPS, HashGridShape
from castex.synthesise import surface_points
from castex.texture import SkipNetwork

SMALL = HashGridShape(levels=3, features=2, table=8, coarsest=4, finest=16, width=8)


def made(kind, learned=ALL_MAPS, seed=0, size=16):
    stream = torch.Generator().manual_seed(seed)
    match kind:
        case "explicit":
            return ExplicitTexture(grey_maps(size), learned)
        case "dip":
            network = SkipNetwork(4, 2, outputs=8, generator=stream)
            return NeuralTexture(network, grey_maps(size), learned, generator=stream)
        case "hash-grid":
            points, index = surface_points(sphere(), size)
            return HashGridTexture(points, index, SMALL, grey_maps(size), learned, generator=stream)


KINDS = ["explicit", "dip", "hash-grid"]


def in_range(maps):
    for name in ("albedo", "roughness", "metallic"):
        value = getattr(maps, name)
        assert value.min() >= 0 and value.max() <= 1, name
    x, y, z = maps.normal.unbind(-1)
    return bool((x.abs() <= 0.71).all() and (y.abs() <= 0.71).all() and (z > 0.5).all())


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_in_range_and_differentiable(kind):
    texture = made(kind)
    assert isinstance(texture, Texture)
    maps = texture.maps()
    assert maps.stacked().shape == (16, 16, 8) and in_range(maps)
    weights = torch.rand(16, 16, 8, generator=torch.Generator().manual_seed(1))
    (maps.stacked() * weights).sum().backward()
    for name, parameter in texture.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert any(p.grad.abs().max() > 0 for p in texture.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_albedo_only_leaves_the_other_maps_alone(kind):
    texture = made(kind, learned=("albedo",))
    optimiser = torch.optim.Adam(texture.parameters(), lr=0.1)
    before = texture.maps().albedo.detach().clone()
    for _ in range(3):
        optimiser.zero_grad()
        (texture.maps().stacked() - 0.9).square().sum().backward()
        optimiser.step()
        texture.project_()
    maps, start = texture.maps(), grey_maps(16)
    assert not torch.equal(maps.albedo, before)
    for name in ("roughness", "metallic", "normal"):
        assert torch.equal(getattr(maps, name), getattr(start, name)), name


@pytest.mark.parametrize("kind", ["dip", "hash-grid"])
def test_seeds_decide_the_start(kind):
    torch.manual_seed(5)
    one = made(kind).maps().stacked()
    torch.manual_seed(6)
    assert torch.equal(one, made(kind).maps().stacked())
    assert not torch.equal(one, made(kind, seed=1).maps().stacked())


@pytest.mark.parametrize("kind", KINDS)
def test_state_travels_through_a_dictionary(kind):
    source, target = made(kind), made(kind, seed=3)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.01)
    target.load_state_dict(source.state_dict())
    source.eval(), target.eval()
    torch.testing.assert_close(source.maps().stacked(), target.maps().stacked(), atol=0, rtol=0)


def test_explicit_maps_are_the_given_ones_and_no_alias(stream):
    start = any_maps(8, 8, stream)
    texture = ExplicitTexture(start)
    assert torch.equal(texture.maps().stacked(), start.stacked())
    with torch.no_grad():
        texture.albedo.zero_()
    assert start.albedo.max() > 0


def test_projection_clamps_and_normalises_first(stream):
    """paper.md 1.4: normals normalised, then clamped to x, y in [-0.5, 0.5] and z in [0.5, 1]."""
    texture = ExplicitTexture(grey_maps(4))
    with torch.no_grad():
        for parameter in texture.parameters():
            parameter.copy_(3 * torch.randn(parameter.shape, generator=stream))
    raw = {name: value.detach().clone() for name, value in texture.named_parameters()}
    texture.project_()
    for name in ("albedo", "roughness", "metallic"):
        assert torch.equal(getattr(texture, name), raw[name].clamp(0, 1))
    unit = normalize(raw["normal"], dim=-1)
    expected = torch.stack(
        [unit[..., 0].clamp(-0.5, 0.5), unit[..., 1].clamp(-0.5, 0.5), unit[..., 2].clamp(0.5, 1)], dim=-1
    )
    assert torch.equal(texture.normal, expected)


def test_the_grey_start_is_a_fixed_point_of_the_projection():
    texture = made("explicit")
    texture.project_()
    assert torch.equal(texture.maps().stacked(), grey_maps(16).stacked())


def test_random_starts_are_in_range_and_spread(stream):
    maps = random_maps(64, generator=stream)
    assert in_range(maps)
    assert maps.albedo.std() == pytest.approx(12**-0.5, abs=0.01)
    torch.testing.assert_close(maps.normal.norm(dim=-1), torch.ones(64, 64))
    assert maps.normal[..., :2].mean().abs() < 0.02


def test_the_box_of_normals():
    corners = in_box(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]))
    assert corners.tolist() == [[-0.5, -0.5, 0.5], [0.5, 0.5, 1.0], [0.0, 0.0, 0.75]]


def test_a_hash_grid_begins_nearly_grey():
    start = made("hash-grid").maps()
    assert (start.stacked() - grey_maps(16).stacked()).abs().max() < 1e-3


def test_hash_grid_weights_sum_to_one_and_interpolate(stream):
    """A table that holds a linear function of the corner is read as that function anywhere in between."""
    points = 2 * torch.rand(50, 3, generator=stream) - 1
    points[:2] = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    index = torch.arange(50).view(5, 10)
    shape = HashGridShape(levels=1, features=2, table=12, coarsest=4, finest=4, width=4)
    texture = HashGridTexture(points, index, shape, grey_maps(16), generator=torch.Generator().manual_seed(0))
    corner = torch.cartesian_prod(*[torch.arange(5)] * 3).flip(1).float()
    table = torch.stack([torch.ones(125), corner @ torch.tensor([1.0, 10.0, 100.0])], dim=1)
    looked = texture._looked_up(4, table)
    torch.testing.assert_close(looked[:, 0], torch.ones(50))
    torch.testing.assert_close(looked[:, 1], ((points + 1) * 2) @ torch.tensor([1.0, 10.0, 100.0]))


def test_fine_grids_share_entries_by_the_hash(stream):
    texture = made("hash-grid")
    assert [len(table) for table in texture.tables] == [125, 256, 256]
    for side, table in zip(texture.sides, texture.tables, strict=True):
        corner = torch.randint(0, side + 1, (500, 3), generator=stream)
        entry = texture._entry(corner, side, table)
        assert entry.min() >= 0 and entry.max() < len(table)
        assert len(entry.unique()) > 0.5 * min(len(table), 500)


def test_surface_points_lie_on_the_surface_and_every_texel_has_one():
    points, index = surface_points(sphere(32, 32), 32)
    assert index.shape == (32, 32) and index.min() == 0 and index.max() == len(points) - 1
    assert (points.norm(dim=1) - 1).abs().max() < 0.02
    # Columns are longitudes: neighbours across the seam of the atlas are neighbours in space.
    assert (points[index[16, 0]] - points[index[16, -1]]).norm() < 0.25


def test_texels_without_a_triangle_show_the_nearest_point():
    mesh = sphere(16, 16)
    half = mesh.__class__(
        mesh.v_position,
        mesh.v_normal,
        mesh.v_tangent,
        mesh.v_texcoord * torch.tensor([0.5, 1.0]),
        mesh.t_vertex_idx,
    )
    points, index = surface_points(half, 32)
    assert 400 < len(points) <= 32 * 16
    # Right of the chart everything repeats the chart's last column.
    assert torch.equal(index[8, 16:], index[8, 15].expand(16))
