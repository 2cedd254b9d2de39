"""The mini meshes: closed, outward, unwrapped without overlap, the same every time, and the ones shipped."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.cli import main, make_meshes
from castex.errors import InputError
from castex.scene_file import load_scene
from castex.training.shapes import NAMES, build
from castex.training.shapes.chart import moved, scene
from castex.training.shapes.curves import facets, line, offset, smooth
from castex.training.shapes.glb import glb_bytes, write_glb
from castex.training.shapes.loft import lathe, sphere, tube
from castex.training.shapes.packing import GAP, packed
from castex.training.shapes.solids import box, prism
from castex.weights import verify, write_sums

SIZES = {"v_position": 3, "v_normal": 3, "v_texcoord": 2}
EVERY = pytest.mark.parametrize("name", NAMES)


@cache
def whole(name):
    return build(name)


def primitive(name):
    return whole(name).primitives[0]


def corners(mesh):
    return mesh.v_position.astype(np.float64)[mesh.t_vertex_idx]


def face_normals(mesh):
    p = corners(mesh)
    return np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])


def welded(mesh, attribute="v_position"):
    """Triangles over positions (or texture coordinates) instead of vertices."""
    _, index = np.unique(getattr(mesh, attribute), axis=0, return_inverse=True)
    return index.reshape(-1)[mesh.t_vertex_idx]


def islands(triangles):
    """The number of the connected piece of each triangle."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = triangles[:, [0, 1]].ravel(), triangles[:, [1, 2]].ravel()
    size = triangles.max() + 1
    _, label = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(size, size)), directed=False)
    return label[triangles[:, 0]]


def covered(uv, size):
    """Per triangle the texels whose centre lies strictly inside it, counted the slow way."""
    for k, (a, b, c) in enumerate(uv * size):
        low = np.floor(np.minimum(np.minimum(a, b), c)).astype(int)
        high = np.ceil(np.maximum(np.maximum(a, b), c)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        p = np.stack([x + 0.5, y + 0.5], axis=-1)
        side = [
            (t[0] - s[0]) * (p[..., 1] - s[1]) - (t[1] - s[1]) * (p[..., 0] - s[0])
            for s, t in ((a, b), (b, c), (c, a))
        ]
        inside = (np.min(side, axis=0) > 1e-9) | (np.max(side, axis=0) < -1e-9)
        yield k, y[inside], x[inside]


def test_there_are_enough_of_them():
    assert len(set(NAMES)) == len(NAMES) >= 14
    with pytest.raises(InputError, match="no mini mesh called 'sofa'"):
        build("sofa")


@EVERY
def test_frame_and_size(name):
    mesh = primitive(name)
    low, high = mesh.v_position.min(0), mesh.v_position.max(0)
    np.testing.assert_allclose(low + high, 0, atol=3e-5)
    assert (high - low).max() == pytest.approx(2, abs=3e-5)
    assert 1000 <= len(mesh.t_vertex_idx) <= 6000
    assert np.array_equal(np.unique(mesh.t_vertex_idx), np.arange(len(mesh.v_position)))
    for values in (mesh.v_position, mesh.v_normal, mesh.v_texcoord):
        assert values.dtype == np.float32 and np.isfinite(values).all()


@EVERY
def test_normals_are_unit_and_agree_with_the_winding(name):
    mesh = primitive(name)
    faces = face_normals(mesh)
    area = np.linalg.norm(faces, axis=1)
    assert area.min() > 1e-7
    np.testing.assert_allclose(np.linalg.norm(mesh.v_normal, axis=1), 1, atol=2e-5)
    agreement = (mesh.v_normal[mesh.t_vertex_idx] * (faces / area[:, None])[:, None]).sum(-1)
    assert agreement.min() > 0


@EVERY
def test_every_edge_joins_two_faces_and_every_body_is_outward(name):
    mesh = primitive(name)
    triangles = welded(mesh)
    edges = np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    assert (edges[:, 0] != edges[:, 1]).all()
    forward, there = np.unique(edges, axis=0, return_counts=True)
    backward, back = np.unique(edges[:, ::-1], axis=0, return_counts=True)
    assert np.array_equal(forward, backward) and np.array_equal(there, back)
    p = corners(mesh)
    volume = np.einsum("ij,ij->i", p[:, 0], np.cross(p[:, 1], p[:, 2])) / 6
    bodies = np.bincount(islands(triangles), weights=volume)
    assert bodies[np.unique(islands(triangles))].min() > 1e-6


@EVERY
def test_atlas_neither_overlaps_nor_touches(name):
    mesh = primitive(name)
    assert mesh.v_texcoord.min() > 0 and mesh.v_texcoord.max() < 1
    uv, size = mesh.v_texcoord.astype(np.float64)[mesh.t_vertex_idx], 256
    layers, owner = np.zeros((size, size), int), np.full((size, size), -1)
    label = islands(welded(mesh, "v_texcoord"))
    for k, row, column in covered(uv, size):
        layers[row, column] += 1
        owner[row, column] = label[k]
    assert layers.max() == 1
    assert (owner >= 0).mean() > 0.45
    for first, second in ((owner[:-1], owner[1:]), (owner[:, :-1], owner[:, 1:])):
        assert ((first < 0) | (second < 0) | (first == second)).all()


@EVERY
def test_atlas_is_even_and_unmirrored(name):
    mesh = primitive(name)
    uv = mesh.v_texcoord.astype(np.float64)[mesh.t_vertex_idx]
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    # With v down, an unmirrored face turns clockwise in numbers.
    signed = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
    assert signed.max() < 0
    area = np.linalg.norm(face_normals(mesh), axis=1)
    density = np.sqrt(-signed / area)
    order = np.argsort(density)
    share = np.cumsum(area[order]) / area.sum()
    low, high = (density[order][np.searchsorted(share, at)] for at in (0.02, 0.98))
    assert high / low < 1.75


@EVERY
def test_no_camera_sees_an_inside(name):
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    mesh = primitive(name)
    tracer = rtcore_scene.EmbreeScene()
    TriangleMesh(tracer, corners(mesh).astype(np.float32))
    grid = (np.arange(64) + 0.5) / 64 * 2.4 - 1.2
    a, b = (axis.ravel() for axis in np.meshgrid(grid, grid))
    normal = face_normals(mesh)
    for azimuth, elevation in ((20, 15), (110, 40), (200, -20), (290, 70), (10, -75)):
        t, e = np.radians([azimuth, elevation])
        out = np.array([np.sin(t) * np.cos(e), np.sin(e), np.cos(t) * np.cos(e)])
        right = np.array([np.cos(t), 0, -np.sin(t)])
        eye = 5 * out + a[:, None] * right + b[:, None] * np.cross(out, right)
        ray = np.broadcast_to(-out, eye.shape)
        hit = tracer.run(eye.astype("f4"), np.ascontiguousarray(ray, dtype="f4"), query="INTERSECT")
        hit = np.asarray(hit)
        away = normal[hit[hit >= 0]] @ out < 0
        assert (hit >= 0).sum() > 200
        assert away.mean() < 0.004


@pytest.mark.parametrize("name", ["vase", "mug", "bowl"])
def test_open_vessels_have_an_inside(name):
    """Looking straight down into the vessel, its floor lies far below the rim and faces up."""
    mesh = primitive(name)
    p, faces = corners(mesh), face_normals(mesh)
    centre = p.mean(1)
    axis = centre[np.abs(centre[:, 1] - mesh.v_position[:, 1].min()) < 0.02].mean(0)
    near = np.linalg.norm((centre - axis)[:, [0, 2]], axis=1) < 0.25
    up = near & (faces[:, 1] > 0.9 * np.linalg.norm(faces, axis=1))
    floor = centre[up, 1].max()
    assert floor < mesh.v_position[:, 1].max() - 0.6 * np.ptp(mesh.v_position[:, 1])
    assert floor > mesh.v_position[:, 1].min() + 0.01


def test_fronts_face_forward():
    chair, car, mug, rocket, duck = (
        primitive(n).v_position for n in ("chair", "car", "mug", "rocket", "duck")
    )
    assert chair[chair[:, 1] > 0.3][:, 2].max() < -0.2, "the chair's back is behind"
    assert car[car[:, 2] > 0.5][:, 1].max() < car[np.abs(car[:, 2]) < 0.3][:, 1].max() - 0.2, "bonnet ahead"
    assert np.abs(mug[:, 2]).max() < 0.75 < mug[:, 0].max(), "the handle is to the right"
    middle = rocket[(np.abs(rocket[:, 0]) < 0.1) & (np.abs(rocket[:, 1] - 0.25) < 0.2)]
    assert middle[:, 2].max() > -middle[:, 2].min() + 0.01, "portholes in front"
    assert duck[duck[:, 1] > 0.35][:, 2].mean() > 0.1, "the duck looks ahead"


@EVERY
def test_shipped_file_is_what_the_code_makes(name, root):
    path = root / "data" / "mini" / "meshes" / f"{name}.glb"
    shipped, mesh = load_scene(path), primitive(name)
    assert shipped.attribution == whole(name).attribution
    assert shipped.attribution.licence == "CC0-1.0" and shipped.attribution.title == name
    (found,) = shipped.primitives
    assert np.array_equal(found.t_vertex_idx, mesh.t_vertex_idx)
    for attribute in ("v_position", "v_normal", "v_texcoord"):
        np.testing.assert_allclose(getattr(found, attribute), getattr(mesh, attribute), atol=2e-5)
    (material,) = shipped.materials
    assert material.albedo == pytest.approx((0.8, 0.8, 0.8)) and material.metallic == 0


def test_shipped_folder_is_whole_and_small(root):
    folder = root / "data" / "mini" / "meshes"
    names = {f"{name}.glb" for name in NAMES}
    assert set(verify(folder).files) == names == {path.name for path in folder.glob("*.glb")}
    assert sum((folder / name).stat().st_size for name in names) <= 1_500_000


def test_command_makes_the_same_bytes_again(tmp_path, capsys):
    make_meshes.run(argparse.Namespace(output=tmp_path))
    assert f"{len(NAMES)} meshes" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"SHA256SUMS", *(f"{name}.glb" for name in NAMES)}
    verify(tmp_path)
    for name in NAMES:
        assert (tmp_path / f"{name}.glb").read_bytes() == glb_bytes(whole(name))


def test_rule_knows_every_name(root):
    text = (root / "workflow" / "rules" / "meshes.smk").read_text()
    listed = re.search(r"MINI_MESHES = \[(.*?)\]", text, flags=re.DOTALL)
    assert tuple(re.findall(r'"(\w+)"', listed[1])) == NAMES


def test_glb_refuses_what_it_cannot_hold(tmp_path):
    chair, mesh = whole("chair"), primitive("chair")
    for broken, sentence in (
        (replace(chair, primitives=()), "one primitive"),
        (replace(chair, primitives=(replace(mesh, v_normal=None),)), "needs normals"),
    ):
        with pytest.raises(InputError, match=sentence):
            glb_bytes(broken)
    write_glb(tmp_path / "chair.glb", chair)
    assert (tmp_path / "chair.glb").read_bytes() == glb_bytes(chair)


def volume(part):
    p = corners(scene("part", part).primitives[0])
    return np.einsum("ij,ij->", p[:, 0], np.cross(p[:, 1], p[:, 2])) / 6


def test_solids_have_the_volume_of_the_textbook():
    """After scaling to longest side 2."""
    assert volume(box((1, 1, 1), rounding=0.0)) == pytest.approx(8, rel=1e-4)
    assert volume(prism(line((0, 0), (1, 0), (1, 1), (0, 1)), 1.0)) == pytest.approx(8, rel=1e-4)
    assert volume(sphere((1, 1, 1), around=96, rings=48)) == pytest.approx(4 / 3 * np.pi, rel=5e-3)
    rod = tube(line((0, -2, 0), (0, 0, 0), (0, 2, 0)), 0.5, around=96)
    assert volume(rod) == pytest.approx(np.pi * 0.25**2 * 2, rel=5e-3)
    cone = lathe(*facets((0, 0), (1, 0), (0, 2)), around=96)
    assert volume(cone) == pytest.approx(2 / 3 * np.pi, rel=5e-3)
    # An L: the ear clipping may not fill the notch.
    outline = line((0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2))
    assert volume(prism(outline, 2.0)) == pytest.approx(6, rel=1e-4)
    bevelled = prism(line((0, 0), (2, 0), (2, 2), (0, 2)), 2.0, bevel=0.25)
    assert volume(bevelled) == pytest.approx(8 - 2 * (0.25 * 4 - (4 + 2.25 + 3) * 0.25 / 3), rel=1e-4)


def test_cylinder_unrolls_to_its_true_size():
    strip = lathe(line((0.5, 0), (0.5, 1), (0.5, 2)), around=200)
    (chart,) = strip
    np.testing.assert_allclose(np.ptp(chart.v_plane, axis=0), [np.pi, 2], rtol=1e-3)


def test_curves_pass_through_their_points():
    points = [(0.0, 0.0), (1.0, 0.5), (1.5, 2.0), (0.5, 3.0)]
    curve = smooth(*points, steps=5)
    np.testing.assert_array_equal(curve[::5], points)
    assert len(curve) == 16
    wall = offset(line((1, 0), (1, 1), (1, 2)), 0.1)
    np.testing.assert_allclose(wall[:, 0], 0.9)


def test_moving_a_part_moves_nothing_else():
    before, after = box((1, 2, 3)), moved(box((1, 2, 3)), 1, 2, 3)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(b.v_position - a.v_position, np.tile([1, 2, 3], (len(a.v_position), 1)))
        assert np.array_equal(a.v_normal, b.v_normal) and np.array_equal(a.v_plane, b.v_plane)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.05, 3), st.floats(0.05, 3)), min_size=1, max_size=12))
def test_packing_keeps_islands_apart_and_their_shape(sizes):
    planes = [np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=float) for w, h in sizes]
    uv = packed(planes).reshape(-1, 4, 2)
    low, high = uv.min(1), uv.max(1)
    assert low.min() > 0 and high.max() < 1
    for i in range(len(uv)):
        for j in range(i):
            apart = np.maximum(low[i] - high[j], low[j] - high[i]).max()
            assert apart > 0.5 * GAP
    scales = np.sort(high - low, axis=1) / np.sort(np.array(sizes), axis=1)
    np.testing.assert_allclose(scales, scales[0, 0], rtol=1e-9)
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    assert (d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0] < 0).all(), "with v down nothing is mirrored"


def test_only_whole_meshes_of_this_code_are_shipped(tmp_path, capsys, root):
    made, shipped, sheet = tmp_path / "made", tmp_path / "shipped", tmp_path / "assets.tsv"
    right = (root / "data" / "assets.tsv").read_text()
    mug = next(line for line in right.splitlines() if line.startswith("mug\t"))
    sheet.write_text(right.replace(mug, mug.replace(mug.split("\t")[7], "0" * 64)))
    assert main(["make_meshes", "--output", str(made)]) == 0
    ship = ["ship_models", "--meshes", str(made), "--output", str(shipped), "--sheet", str(sheet)]
    assert main(ship) == 0
    assert f"new hashes of mug in {sheet}" in capsys.readouterr().out and sheet.read_text() == right
    assert main(ship) == 0
    assert f"the same hashes as before in {sheet}" in capsys.readouterr().out
    assert len(list(shipped.glob("*.glb"))) == len(NAMES) and (shipped / "SHA256SUMS").is_file()
    (made / "mug.glb").write_bytes((made / "vase.glb").read_bytes())
    assert main(ship) == 2
    assert "mug.glb is altered" in capsys.readouterr().err
    write_sums(made, [f"{name}.glb" for name in NAMES])
    assert main(ship) == 2
    assert "made by other code" in capsys.readouterr().err
