"""The renderer against closed forms, against a slow reference, and against itself."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import bumpy, constant_light, plain_maps, random_light, random_maps, sphere

from castex.chunks import PIXELS
from castex.errors import InputError
from castex.light import prefiltered
from castex.maps import TextureMaps
from castex.mesh import Mesh, with_tangents
from castex.render import MeshRenderer, _shade_piece, shaded_pixels
from castex.shading import brdf_lookup
from castex.shot import ShotSettings, fixed_shot, sample_shot


@pytest.fixture(scope="module")
def light():
    return random_light(torch.Generator().manual_seed(3))


def agree(image, seen, expected, triangles, tolerance):
    """Where both name the same triangle, colours agree; where not, the pixel lies on an edge."""
    same = seen == triangles
    assert same.mean() > 0.998
    np.testing.assert_allclose(image[same], expected[same], atol=tolerance, rtol=tolerance)


def test_the_slow_reference_agrees(stream, light):
    mesh, maps = bumpy(stream), random_maps(32, 64, stream)
    shot = sample_shot(ShotSettings(views=3), generator=stream)
    renderer = MeshRenderer(mesh, light, 28)
    image = renderer(maps, shot).permute(0, 2, 3, 1).numpy()
    seen = renderer._visibility(shot, 28).numpy()
    expected, triangles = reference.render(mesh, maps, light, shot, 28)
    assert (triangles >= 0).mean() > 0.15
    agree(image, seen, expected, triangles, 2e-3)
    assert np.median(np.abs(image - expected)) < 1e-6


def test_in_float64_the_reference_agrees_to_ten_digits(stream, light):
    mesh, maps = bumpy(stream), random_maps(16, 16, stream)
    shot = fixed_shot([20.0, 215.0], [50.0, -35.0], distance=3.1, light_rotation=77.0)
    exact = TextureMaps(*(getattr(maps, f.name).double() for f in dataclasses.fields(maps)))
    renderer = MeshRenderer(mesh, light, 24, dtype=torch.float64)
    image = renderer(exact, shot).permute(0, 2, 3, 1).numpy()
    expected, triangles = reference.render(mesh, exact, light, shot, 24)
    # The reference takes footprints by finite differences, hence nine digits in the level.
    agree(image, renderer._visibility(shot, 24).numpy(), expected, triangles, 1e-5)
    assert np.median(np.abs(image - expected)) < 1e-9


def test_white_furnace_is_white():
    """Albedo 1 under radiance 1 gives 1, and on top exactly the light that the dielectric coat reflects.

    The split sum does not take the coat's share away from the base, so the sum exceeds 1 by 0.04 A + B.
    """
    shot = fixed_shot([10.0], [20.0], background=(1.0, 1.0, 1.0))
    light = constant_light()
    maps = plain_maps(1.0, 1.0, 0.0)
    bare = dataclasses.replace(light, brdf=torch.zeros_like(light.brdf))
    assert (MeshRenderer(sphere(48, 48), bare, 96)(maps, shot) - 1).abs().max() < 0.01
    renderer = MeshRenderer(sphere(48, 48), light, 96)
    buffer = renderer.buffer(shot)
    cosine = (buffer.gb_normal * buffer.gb_view).sum(0)
    scale, bias = brdf_lookup(cosine, torch.ones_like(cosine), renderer._tables)
    coat = renderer(maps, shot)[0].flatten(1)[:, buffer.gb_pixel_idx] - 1
    assert (coat - (0.04 * scale + bias)).abs().max() < 0.01
    assert coat.min() > 0


@pytest.mark.parametrize("metallic", [0.0, 0.5, 1.0])
def test_a_furnace_never_gains_energy_by_its_lobe(metallic):
    """A metal of albedo 1 returns what the BRDF table holds, at most 1, at every roughness."""
    shot = fixed_shot([0.0, 120.0], [0.0, 40.0], background=(0.0, 0.0, 0.0))
    renderer = MeshRenderer(sphere(32, 32), constant_light(), 64)
    for roughness in torch.linspace(0, 1, 9).tolist():
        metal = renderer(plain_maps(1.0, roughness, 1.0), shot)
        assert metal.max() <= 1 + 1e-3
        lobe = renderer(plain_maps(0.0, roughness, metallic), shot)
        assert lobe.max() <= 1 + 1e-3


def test_lambert_sphere_in_closed_form():
    """Under radiance 1 + z the cosine-weighted mean in direction n is 1 + (2/3) n_z."""
    direction = _panorama_directions(128)
    light = prefiltered(1 + direction[..., 2:].expand(-1, -1, 3), 128)
    light = dataclasses.replace(light, brdf=torch.zeros_like(light.brdf))
    shot = fixed_shot([35.0], [25.0], background=(0.0, 0.0, 0.0))
    renderer = MeshRenderer(sphere(96, 96), light, 128)
    image = renderer(plain_maps(0.8, 0.5, 0.0), shot)
    buffer = renderer.buffer(shot)
    expected = 0.8 * (1 + 2 / 3 * buffer.gb_normal[2])
    covered = image[0].flatten(1)[:, buffer.gb_pixel_idx]
    assert (covered - expected).abs().max() < 0.01


def test_a_mirror_sphere_reflects_the_panorama():
    direction = _panorama_directions(256)
    smooth = 1 + 0.5 * torch.sin(3 * direction) + 0.3 * direction.roll(1, -1)
    light = prefiltered(smooth, 256)
    shot = fixed_shot([200.0], [-10.0], light_rotation=40.0)
    renderer = MeshRenderer(sphere(128, 128), light, 128)
    image = renderer(plain_maps(1.0, 0.0, 1.0), shot)[0].flatten(1)
    buffer = renderer.buffer(shot)
    normal, view = buffer.gb_normal, buffer.gb_view
    towards = 2 * (normal * view).sum(0) * normal - view
    angle = math.radians(40.0)
    x, y, z = towards
    turned = torch.stack(
        [math.cos(angle) * x + math.sin(angle) * z, y, math.cos(angle) * z - math.sin(angle) * x], -1
    )
    expected = 1 + 0.5 * torch.sin(3 * turned) + 0.3 * turned.roll(1, -1)
    frontal = (normal * view).sum(0) > 0.3
    error = (image[:, buffer.gb_pixel_idx].T - expected)[frontal].abs()
    assert error.max() < 0.03 and error.mean() < 0.01


def _panorama_directions(height):
    v = (torch.arange(height) + 0.5) / height * math.pi
    u = ((torch.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * math.pi
    polar, azimuth = torch.meshgrid(v, u, indexing="ij")
    return torch.stack([polar.sin() * azimuth.sin(), polar.cos(), -polar.sin() * azimuth.cos()], dim=-1)


@pytest.mark.parametrize("name", ["albedo", "roughness", "metallic", "normal"])
def test_gradcheck_of_every_map(stream, light, name):
    mesh, maps = bumpy(stream), random_maps(8, 8, stream)
    exact = {f.name: getattr(maps, f.name).double() for f in dataclasses.fields(maps)}
    exact["roughness"] = 0.1 + 0.35 * exact["roughness"]
    renderer = MeshRenderer(mesh, light, 6, dtype=torch.float64)
    shot = fixed_shot([20.0, 160.0], [30.0, -20.0], distance=3.0, light_rotation=10.0)
    buffer = renderer.buffer(shot)

    def image(values):
        return renderer.shaded(TextureMaps(**(exact | {name: values})), buffer, shot)

    leaf = exact[name].clone().requires_grad_()
    # Bilinear lookups have kinks; a step this small rarely crosses one.
    assert torch.autograd.gradcheck(image, (leaf,), eps=1e-7, atol=1e-5, rtol=1e-3)
    assert torch.autograd.grad(image(leaf).sum(), leaf)[0].abs().sum() > 0


def test_images_and_gradients_repeat_bit_by_bit_on_any_number_of_threads(stream, light):
    mesh, maps = sphere(40, 40), random_maps(64, 64, stream)
    shot = sample_shot(ShotSettings(views=4, distance_spread=0), generator=stream)
    found = []
    for threads in (1, 2, 1, 2):
        torch.set_num_threads(threads)
        leaf = TextureMaps(
            *(getattr(maps, f.name).clone().requires_grad_() for f in dataclasses.fields(maps))
        )
        image = MeshRenderer(mesh, light, 256)(leaf, shot)
        image.square().sum().backward()
        assert (image != shot.background[:, None, None]).any(1).sum() > PIXELS, "more than one piece"
        found.append([image.detach(), *(getattr(leaf, f.name).grad for f in dataclasses.fields(leaf))])
        assert torch.get_num_threads() == threads
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_views_do_not_see_each_other(stream, light):
    mesh, maps = bumpy(stream), random_maps(32, 32, stream)
    shot = sample_shot(ShotSettings(views=3), generator=stream)
    renderer = MeshRenderer(mesh, light, 40)
    together = renderer(maps, shot)
    for k in range(3):
        torch.testing.assert_close(together[k : k + 1], renderer(maps, shot.view(k)), atol=1e-5, rtol=1e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_permuting_faces_changes_nothing(light, seed):
    stream = torch.Generator().manual_seed(seed)
    mesh, maps = bumpy(stream), random_maps(16, 16, stream)
    shot = sample_shot(ShotSettings(views=2), generator=stream)
    order = torch.randperm(len(mesh.t_vertex_idx), generator=stream)
    shuffled = dataclasses.replace(mesh, t_vertex_idx=mesh.t_vertex_idx[order])
    first, second = (MeshRenderer(m, light, 32)(maps, shot) for m in (mesh, shuffled))
    # Two triangles may share a pixel on their common edge: either is right.
    assert ((first - second).abs() > 1e-4).float().mean() < 0.004


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), angle=st.floats(-180, 180))
def test_turning_the_light_is_turning_object_and_camera_back(light, seed, angle):
    """R_y applied to mesh and cameras, light fixed: the same picture as light_rotation + angle."""
    stream = torch.Generator().manual_seed(seed)
    mesh, maps = bumpy(stream), random_maps(16, 16, stream)
    base = fixed_shot([15.0, 130.0], [20.0, -40.0], distance=3.3, light_rotation=angle + 25.0)
    moved = fixed_shot([15.0 + angle, 130.0 + angle], [20.0, -40.0], distance=3.3, light_rotation=25.0)
    turned_mesh = _turned(mesh, math.radians(angle))
    first, second = (
        MeshRenderer(mesh, light, 32)(maps, base),
        MeshRenderer(turned_mesh, light, 32)(maps, moved),
    )
    assert ((first - second).abs() > 1e-3).float().mean() < 0.004


def _turned(mesh: Mesh, angle: float) -> Mesh:
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return with_tangents(
        mesh.v_position @ rotation.T, mesh.v_normal @ rotation.T, mesh.v_texcoord, mesh.t_vertex_idx
    )


def test_only_seen_texels_receive_gradients(light):
    maps = plain_maps(0.5, 0.5, 0.5, size=32)
    leaf = maps.albedo.clone().requires_grad_()
    renderer = MeshRenderer(sphere(32, 32), light, 64)
    image = renderer(dataclasses.replace(maps, albedo=leaf), fixed_shot([0.0], [0.0]))
    image.sum().backward()
    # Longitude 0 and the right edge are the front; the middle columns are the far side.
    front, back = leaf.grad[:, :2].abs().mean(), leaf.grad[:, 12:20].abs().mean()
    # Grazing pixels look into coarse levels, which reach around the silhouette.
    assert back < 0.01 * front


def test_the_background_is_the_shots_colour(light):
    shot = fixed_shot([0.0], [0.0], background=(0.1, 0.2, 0.3))
    image = MeshRenderer(sphere(), light, 32)(plain_maps(0.5, 0.5, 0.0), shot)
    assert torch.equal(image[0, :, 0, 0], torch.tensor([0.1, 0.2, 0.3]))


def test_an_object_out_of_sight_gives_the_background(light):
    mesh = dataclasses.replace(sphere(), v_position=sphere().v_position + torch.tensor([0.0, 50.0, 0.0]))
    maps = plain_maps(0.5, 0.5, 0.0)
    leaf = dataclasses.replace(maps, albedo=maps.albedo.requires_grad_())
    image = MeshRenderer(mesh, light, 16)(leaf, fixed_shot([0.0], [0.0]))
    assert torch.equal(image, torch.ones_like(image))


def test_edge_on_and_tiny_triangles_stay_finite(light):
    position = torch.tensor(
        [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0.5, 0.5, 0], [0.5 + 1e-7, 0.5, 0], [0.5, 0.5 + 1e-7, 0]]
    )
    normal = torch.tensor([[1.0, 0, 0]]).expand(6, 3).contiguous()
    texcoord = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
    mesh = with_tangents(position.float(), normal, texcoord, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    image = MeshRenderer(mesh, light, 64)(
        plain_maps(0.5, 0.2, 1.0), fixed_shot([0.0, 1e-4, 90.0], [0.0, 0.0, 0.0])
    )
    assert torch.isfinite(image).all()


def test_normals_that_cancel_shade_with_the_surface(light):
    """A checkerboard of opposite texels has no mean; opposite vertex normals meet in zero."""
    ball = sphere()
    opposite = torch.zeros(16, 16, 3)
    opposite[..., 2] = 1 - 2 * ((torch.arange(16)[:, None] + torch.arange(16)[None]) % 2).float()
    maps = dataclasses.replace(plain_maps(0.5, 0.3, 0.5, size=16), normal=opposite)
    shot = fixed_shot([0.0, 90.0], [0.0, 80.0], distance=40.0)
    image = MeshRenderer(ball, light, 32)(maps, shot)
    assert torch.isfinite(image).all()
    folded = dataclasses.replace(
        ball, v_normal=ball.v_normal * (1 - 2 * (torch.arange(len(ball.v_normal)) % 2).float())[:, None]
    )
    for size in (31, 64, 65):
        leaf = plain_maps(0.5, 0.3, 0.5).albedo.requires_grad_()
        maps = dataclasses.replace(plain_maps(0.5, 0.3, 0.5), albedo=leaf)
        image = MeshRenderer(folded, light, size)(maps, fixed_shot([0.0], [0.0]))
        image.sum().backward()
        assert torch.isfinite(image).all() and torch.isfinite(leaf.grad).all()


def test_one_triangle_whose_normals_cancel_exactly(light):
    """Pixel centres where the interpolated normal is exactly zero."""
    position = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]])
    normal = torch.tensor([[0.0, 0, 1], [0, 0, -1], [0, 0, 1]])
    texcoord = torch.tensor([[0.0, 1], [1, 1], [0.5, 0]])
    mesh = with_tangents(position, normal, texcoord, torch.tensor([[0, 1, 2]]))
    for size in (63, 64, 65, 255):
        image = MeshRenderer(mesh, light, size)(plain_maps(0.5, 0.3, 0.5), fixed_shot([0.0], [0.0]))
        assert torch.isfinite(image).all()


@pytest.mark.parametrize("name", ["albedo", "roughness", "metallic", "normal"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_maps_without_a_value_are_refused(light, name, value):
    maps = plain_maps(0.5, 0.3, 0.5)
    getattr(maps, name)[3, 3, 0] = value
    with pytest.raises(InputError, match="NaN or infinity"):
        MeshRenderer(sphere(), light, 16)(maps, fixed_shot([0.0], [0.0]))


@pytest.mark.parametrize(("height", "width"), [(4, 6), (10, 4), (12, 18), (1, 8), (7, 7)])
def test_maps_of_any_shape_can_be_rendered(light, stream, height, width):
    image = MeshRenderer(sphere(), light, 24)(random_maps(height, width, stream), fixed_shot([0.0], [0.0]))
    assert torch.isfinite(image).all()


def test_one_piece_shades_as_many_do(stream, light):
    """CUDA takes all pixels at once and keeps the graph; the CPU works in pieces and shades twice."""
    mesh, shot = sphere(), fixed_shot([20.0], [10.0])
    renderer = MeshRenderer(mesh, light, 48)
    buffer = renderer.buffer(shot)
    texels = torch.rand(len(buffer.gb_footprint), 8, generator=stream)
    results = []
    for shade_all in (
        lambda leaf: shaded_pixels(leaf, buffer, renderer._tables, 0.3),
        lambda leaf: _shade_piece(leaf, buffer, slice(None), renderer._tables, 0.3),
    ):
        leaf = texels.clone().requires_grad_()
        colour = shade_all(leaf)
        colour.square().sum().backward()
        results.append((colour.detach(), leaf.grad))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
