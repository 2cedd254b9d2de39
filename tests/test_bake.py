"""Texels know their place, layouts are measured truly, and a baked map says what the file said."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from meshes_for_uv import check_unwrapped, grid, icosphere, square_scene

from castex.bake import atlas, bake_maps, dilated
from castex.errors import InputError
from castex.maps import linear_to_srgb, srgb_to_linear
from castex.mesh import with_tangents
from castex.pyramid import data_meaning, linear_meaning, pyramid, sampled
from castex.scene import Material, Primitive, Scene
from castex.surface import merged, rotation
from castex.uv.choice import choose
from castex.uv.raster import fragments
from castex.uv.report import uv_report
from castex.uv.unwrap import unwrap

FRONT = rotation("+z")


def brute_force(corners, size):
    """Texels of one triangle by three half planes, in float64: slow and plain."""
    centre = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(centre, centre)
    sides = []
    for k in range(3):
        (ax, ay), (bx, by) = corners[k], corners[(k + 1) % 3]
        sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    return np.all([s > 1e-9 for s in sides], 0) | np.all([s < -1e-9 for s in sides], 0), np.min(
        np.abs(sides), 0
    ) > 1e-9


coordinates = st.floats(-0.5, 1.5, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[coordinates] * 6), min_size=1, max_size=6), st.sampled_from([1, 7, 16]))
def test_fragments_are_those_of_the_definition(triangles, size):
    uv = np.array(triangles, dtype=np.float32).reshape(-1, 2)
    faces = np.arange(len(uv)).reshape(-1, 3)
    found = np.zeros((len(faces), size * size), dtype=bool)
    for part in fragments(uv, faces, size):
        assert not found[part.triangle, part.texel].any()
        found[part.triangle, part.texel] = True
        point = (part.barycentric[..., None] * uv[faces[part.triangle]].astype(np.float64)).sum(1)
        centre = np.stack([part.texel % size, part.texel // size], 1) + 0.5
        assert np.abs(point * size - centre).max(initial=0) < 1e-3
    for k in range(len(faces)):
        expected, certain = brute_force(uv[faces[k]].astype(np.float64), size)
        assert np.array_equal(found[k][certain.ravel()], expected.ravel()[certain.ravel()])


def test_a_grid_has_no_holes_and_no_overlap():
    """The texel centres lie exactly on edges and corners."""
    uv, triangles, position = grid(8)
    for size in (8, 16, 24):
        chart = atlas(uv + np.float32(0), triangles, size)
        assert chart.texel_triangle_idx.min() >= 0
        assert np.allclose(chart.texel_barycentric.sum(2), 1)
        report = uv_report(uv, triangles, position, size)
        assert (report["coverage"], report["overlap"], report["flipped"]) == (1, 0, 0)
        assert report["stretch_mean"] == pytest.approx(1) and report["stretch_95"] == pytest.approx(1)


def test_the_lowest_index_wins_and_small_triangles_keep_a_texel():
    square, faces, _ = grid(1)
    uv = np.concatenate([square, square, np.float32([[0.55, 0.55], [0.56, 0.55], [0.55, 0.56]])])
    both = np.concatenate([faces + 4, faces])
    assert set(np.unique(atlas(uv, both, 8).texel_triangle_idx)) == {0, 1}
    tiny = atlas(uv, np.array([[8, 9, 10]]), 8)
    assert np.argwhere(tiny.texel_triangle_idx == 0).tolist() == [[4, 4]]
    assert tiny.texel_barycentric[4, 4].tolist() == pytest.approx([1 / 3] * 3)
    assert tiny.texel_barycentric[0, 0].tolist() == [0, 0, 0]


def test_the_report_counts_what_is_wrong():
    uv, triangles, position = grid(4)
    twice = np.concatenate([triangles, triangles[:16]])
    assert uv_report(uv, twice, position)["overlap"] == pytest.approx(0.5, abs=0.01)
    assert uv_report(uv[:, ::-1].copy(), triangles, position)["flipped"] == 1
    assert uv_report(uv * np.float32(0.5), triangles, position)["coverage"] == pytest.approx(0.25)
    assert uv_report(uv * np.float32(2), triangles, position)["outside"] > 0.5
    assert uv_report(0 * uv, triangles, position)["degenerate"] == len(triangles)
    assert uv_report(np.full_like(uv, np.nan), triangles, position)["outside"] == 1
    stretched = uv_report(uv * np.float32([1, 0.25]), triangles, position)
    # Singular values 1 and 4 in proportion: sqrt((1 + 16) / 2) / sqrt(4), by hand.
    assert stretched["stretch_mean"] == pytest.approx(np.sqrt(17 / 2) / 2, rel=1e-5)


def test_enormous_layouts_are_given_up_in_time():
    count = 200_000
    uv = np.random.default_rng(0).random((3 * count, 2)).astype(np.float32)
    faces = np.arange(3 * count).reshape(-1, 3)
    position = np.zeros((3 * count, 3), dtype=np.float32)
    start = time.monotonic()
    for scale in (1, 1e6, 1e30):
        report = uv_report(uv * np.float32(scale), faces, position)
        assert report["overlap"] == 1 or report["outside"] > 0.9
        assert all(np.isfinite(value) for value in report.values())
    with pytest.raises(InputError, match="overlap everywhere"):
        atlas(uv, faces, 64)
    assert time.monotonic() - start < 30


def test_padding_takes_the_nearest():
    values = np.zeros((8, 8, 2), dtype=np.float32)
    filled = np.zeros((8, 8), dtype=bool)
    values[1, 1], values[6, 6] = (1, 2), (3, 4)
    filled[1, 1] = filled[6, 6] = True
    padded = dilated(values, filled)
    assert padded[0, 0].tolist() == [1, 2] and padded[7, 5].tolist() == [3, 4]
    assert np.array_equal(dilated(values, np.zeros_like(filled)), values)


def picture(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def baked(scene, size, *, kept=True, time_limit_s=0.0):
    """Maps and mesh of a scene, with its own texture coordinates or new ones."""
    surface = merged(scene, FRONT)
    layout = choose(surface).layout if kept else None
    made = layout or unwrap(
        surface.v_position, surface.t_vertex_idx, time_limit_s=time_limit_s, resolution=size
    )
    mesh = with_tangents(
        torch.from_numpy(surface.v_position[made.v_source_idx]),
        torch.from_numpy(surface.v_normal[made.v_source_idx]),
        torch.from_numpy(made.v_texcoord),
        torch.from_numpy(made.t_vertex_idx),
    )
    source = None if layout is not None else made.t_source_idx
    return bake_maps(surface, mesh, source, size=size), mesh, surface, source


def test_a_kept_picture_comes_back_byte_for_byte():
    pixels, rough, metal = picture(48, 48), picture(48, 48, 1, seed=1), picture(48, 48, 1, seed=2)
    material = Material(albedo_picture=pixels, roughness_picture=rough, metallic_picture=metal, metallic=1.0)
    scene = square_scene(material, cells=5)
    # One whole tile to the right and two up: the picture repeats, so nothing may change.
    moved = Scene(
        (
            Primitive(
                scene.primitives[0].v_position,
                scene.primitives[0].t_vertex_idx,
                v_texcoord=scene.primitives[0].v_texcoord + np.float32([1, -2]),
            ),
        ),
        scene.materials,
    )
    for given_scene in (scene, moved):
        maps = baked(given_scene, 48)[0]
        assert np.array_equal((linear_to_srgb(maps.albedo) * 255).round().numpy(), pixels)
        assert np.array_equal((maps.roughness[..., 0] * 255).round().numpy(), rough)
        assert np.array_equal((maps.metallic[..., 0] * 255).round().numpy(), metal)


def test_colour_is_averaged_as_light():
    """Black and white stripes of one pixel: half the light, which is 188 as an sRGB byte, not 128."""
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    maps = baked(square_scene(Material(albedo_picture=stripes, roughness_picture=stripes[..., 0])), 32)[0]
    assert torch.allclose(maps.albedo, torch.tensor(0.5), atol=1e-6)
    assert torch.allclose(maps.roughness, torch.tensor(0.5), atol=1e-6)
    smaller = baked(square_scene(Material(albedo_picture=stripes)), 16, kept=False)[0]
    assert (smaller.albedo - 0.5).abs().max() < 0.02


def test_factors_and_vertex_colours_multiply():
    pixels = np.full((16, 16, 3), 188, dtype=np.uint8)
    colour = np.tile(np.float32([0.5, 1, 1]), (16, 1))
    material = Material(albedo=(1.0, 0.5, 0.25), roughness=0.5, metallic=0.75, albedo_picture=pixels)
    light = float(srgb_to_linear(torch.tensor(188 / 255)))
    for kept in (True, False):
        maps = baked(square_scene(material, v_color=colour), 32, kept=kept)[0]
        expected = torch.tensor([0.5, 0.5, 0.25]) * light
        assert torch.allclose(maps.albedo, expected.expand(32, 32, 3), atol=1e-5)
        assert torch.allclose(maps.roughness, torch.tensor(0.5)) and maps.metallic.min() == 0.75
        assert torch.equal(maps.normal[..., 2], torch.ones(32, 32))


def test_two_materials_share_an_atlas():
    first, second = square_scene(cells=2).primitives[0], square_scene(cells=3).primitives[0]
    second = Primitive(second.v_position + np.float32([2, 0, 0]), second.t_vertex_idx, 1)
    scene = Scene((first, second), (Material(albedo=(1.0, 0.0, 0.0)), Material(albedo=(0.0, 0.0, 1.0))))
    maps, mesh, surface, source = baked(scene, 64, kept=False)
    chart = atlas(mesh.v_texcoord.numpy(), mesh.t_vertex_idx.numpy(), 64)
    shown = chart.texel_triangle_idx >= 0
    blue = surface.t_material[source[chart.texel_triangle_idx[shown]]] == 1
    assert np.array_equal(maps.albedo[..., 2].numpy()[shown] > 0.99, blue)
    assert np.array_equal(maps.albedo[..., 0].numpy()[shown] > 0.99, ~blue)
    assert 0.3 < blue.mean() < 0.7


def folded_scene(normal, scale=1.0):
    """Two quads in different planes with sheared charts side by side; the second chart is mirrored."""
    uv, triangles, flat = grid(1)
    left = uv * np.float32([0.4, 0.9]) + np.float32([0.02, 0.02])
    left[:, 0] += 0.1 * left[:, 1]
    right = uv * np.float32([-0.4, 0.7]) + np.float32([0.97, 0.1])
    # From above, seen from outside: turn the second quad to face +X.
    upright = flat @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], dtype=np.float32) + np.float32(
        [3, 0.2, 0.4]
    )
    material = Material(normal_picture=normal, normal_scale=scale)
    return Scene(
        (Primitive(flat, triangles, v_texcoord=left), Primitive(upright, triangles, v_texcoord=right)),
        (material,),
    )


def gltf_normals(surface, triangle, weight, normal, scale):
    """World normals by the words of glTF 2.0, in float64: T along +u, B = w cross(N, T), green up."""
    corners = surface.t_vertex_idx[triangle]
    p, uv = (values[corners].astype(np.float64) for values in (surface.v_position, surface.v_texcoord))
    e1, e2, d1, d2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0], uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    up = np.cross(e1, e2)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    # The directions in which u grows and v shrinks, from the affine map itself.
    area = d1[:, :1] * d2[:, 1:] - d1[:, 1:] * d2[:, :1]
    along = (e1 * d2[:, 1:] - e2 * d1[:, 1:]) / area
    upwards = -(e2 * d1[:, :1] - e1 * d2[:, :1]) / area
    tangent = along / np.linalg.norm(along, axis=1, keepdims=True)
    handed = np.sign((np.cross(up, tangent) * upwards).sum(1, keepdims=True))
    point = (weight[..., None] * uv).sum(1) * normal.shape[0] - 0.5
    low = np.floor(point).astype(int)
    share = point - low
    value = 0
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        part = np.where([dx, dy], share, 1 - share).prod(1)
        texel = normal[(low[:, 1] + dy) % len(normal), (low[:, 0] + dx) % len(normal)]
        value = value + part[:, None] * (texel / 255 * 2 - 1)
    value = value * [scale, scale, 1]
    world = value[:, :1] * tangent + value[:, 1:2] * handed * np.cross(up, tangent) + value[:, 2:] * up
    return world / np.linalg.norm(world, axis=1, keepdims=True)


def our_normals(mesh, chart, maps):
    """World normals by the words of `castex.mesh`, at every texel of a chart."""
    shown = chart.texel_triangle_idx >= 0
    corners = mesh.t_vertex_idx.numpy()[chart.texel_triangle_idx[shown]]
    weight = chart.texel_barycentric[shown][..., None].astype(np.float64)
    up, tangent = ((values.numpy()[corners] * weight).sum(1) for values in (mesh.v_normal, mesh.v_tangent))
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent, up)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    n = maps.normal.numpy()[shown].astype(np.float64)
    world = tangent * n[:, :1] - side * n[:, 1:2] + up * n[:, 2:]
    return world / np.linalg.norm(world, axis=1, keepdims=True)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_normals_point_where_gltf_says(kept, scale):
    slope = np.zeros((64, 64, 3), dtype=np.uint8)
    line = np.linspace(90, 190, 64)
    slope[..., 0], slope[..., 1], slope[..., 2] = line[None], line[::-1, None] + 20, 230
    maps, mesh, surface, source = baked(folded_scene(slope, scale), 64, kept=kept)
    chart = atlas(mesh.v_texcoord.numpy(), mesh.t_vertex_idx.numpy(), 64)
    triangle = chart.texel_triangle_idx[chart.texel_triangle_idx >= 0].astype(int)
    weight = chart.texel_barycentric[chart.texel_triangle_idx >= 0].astype(np.float64)
    triangle = triangle if source is None else source[triangle]
    expected = gltf_normals(surface, triangle, weight, slope, scale)
    assert set(np.unique(triangle)) == {0, 1, 2, 3}
    ours = our_normals(mesh, chart, maps)
    assert np.abs(ours - expected).max() < 0.02 and np.abs(ours - expected).mean() < 0.002
    # The sign rule matters here: without it the mirrored quad would be off by far more.
    wrong = our_normals(mesh, chart, with_flipped_green(maps))
    assert np.abs(wrong - expected).max() > 0.3


def with_flipped_green(maps):
    return dataclasses.replace(maps, normal=maps.normal * torch.tensor([1.0, -1.0, 1.0]))


def test_normals_survive_a_new_atlas_on_a_curved_mesh():
    """Baked twice, kept and unwrapped, the world normals of a bumpy dome agree."""
    uv, triangles, flat = grid(12)
    dome = flat + np.stack([0 * flat[:, 0], 0 * flat[:, 0], 0.2 * np.sin(3 * flat[:, 0] + flat[:, 1])], 1)
    bumps = np.full((128, 128, 3), 255, dtype=np.uint8)
    bumps[..., :2] = (128 + 60 * np.sin(np.arange(128) / 9))[:, None, None]
    scene = Scene(
        (Primitive(dome.astype(np.float32), triangles, v_texcoord=uv),), (Material(normal_picture=bumps),)
    )
    fields = []
    for kept in (True, False):
        maps, mesh, _, _ = baked(scene, 128, kept=kept)
        chart = atlas(mesh.v_texcoord.numpy(), mesh.t_vertex_idx.numpy(), 128)
        shown = chart.texel_triangle_idx >= 0
        corners = mesh.t_vertex_idx.numpy()[chart.texel_triangle_idx[shown]]
        where = (mesh.v_position.numpy()[corners] * chart.texel_barycentric[shown][..., None]).sum(1)
        fields.append((where, our_normals(mesh, chart, maps)))
    from scipy.spatial import cKDTree

    distance, nearest = cKDTree(fields[0][0]).query(fields[1][0])
    difference = np.abs(fields[1][1] - fields[0][1][nearest])[distance < 0.01]
    assert len(difference) > 5000 and difference.mean() < 0.02


def test_lookups_repeat_the_picture_and_average_its_footprint():
    source = pyramid(picture(5, 7), linear_meaning(), 3.0)
    assert [level.shape[:2] for level in source.levels] == [(3, 4), (2, 2), (1, 1)]
    centres = np.array([[(x + 0.5) / 7, (y + 0.5) / 5] for y in range(5) for x in range(7)])
    exact = linear_meaning()[source.base].reshape(-1, 3)
    for shift in (0, 3, -2):
        assert np.allclose(sampled(source, centres + shift, np.zeros(35)), exact, atol=1e-5)
    even = pyramid(picture(8, 8, 1), data_meaning(), 3.0)
    mean = even.base.mean() / 255
    assert np.allclose(
        sampled(even, np.random.default_rng(0).random((9, 2)), np.full(9, 3.0)), mean, atol=1e-5
    )
    between = sampled(even, centres, np.full(35, 0.5))
    halves = [sampled(even, centres, np.full(35, level)) for level in (0.0, 1.0)]
    assert np.allclose(between, sum(halves) / 2, atol=1e-6)


def test_a_sphere_that_is_unwrapped_and_baked_has_its_vertex_colours():
    position, triangles = icosphere(2)
    colour = (position / 2 + 0.5).astype(np.float32)
    scene = Scene((Primitive(position, triangles, v_color=colour),), (Material(),))
    maps, mesh, surface, _ = baked(scene, 128, kept=False)
    chart = atlas(mesh.v_texcoord.numpy(), mesh.t_vertex_idx.numpy(), 128)
    shown = chart.texel_triangle_idx >= 0
    corners = mesh.t_vertex_idx.numpy()[chart.texel_triangle_idx[shown]]
    where = (mesh.v_position.numpy()[corners] * chart.texel_barycentric[shown][..., None]).sum(1)
    assert np.abs(maps.albedo.numpy()[shown] - (where / 2 + 0.5)).max() < 1e-2
    made = unwrap(surface.v_position, surface.t_vertex_idx, time_limit_s=0.0, resolution=128)
    check_unwrapped(made, surface.v_position, surface.t_vertex_idx)
