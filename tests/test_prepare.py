"""A scene becomes one mesh with one atlas and its own materials, or is refused in one sentence."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from meshes_for_uv import grid, icosphere, islands, square_scene
from pydantic import ValidationError

from castex.cli._entry import entry
from castex.errors import InputError
from castex.files import json_text, write_tensors
from castex.inspection import inspected
from castex.maps import grey_maps, linear_to_srgb
from castex.maps_file import read_maps, write_maps
from castex.mesh import read_mesh
from castex.prepare import prepare
from castex.scene import Attribution, Material, Primitive, Scene
from castex.settings.assets import LARGEST_ATLAS, SMALLEST_ATLAS, PrepareSettings
from castex.surface import merged, rotation
from castex.uv.choice import choose

FRONT = rotation("+z")


def made_quickly(scene, **options):
    """`prepare` without xatlas."""
    return prepare(scene, **({"size": 64, "time_limit_s": 0.0} | options))


def changed(scene, **changes):
    """The scene with another first primitive."""
    return replace(scene, primitives=(replace(scene.primitives[0], **changes),))


def check_mesh(mesh):
    """What a renderer relies on."""
    extent = mesh.v_position.amax(0) - mesh.v_position.amin(0)
    assert extent.max() == pytest.approx(2, rel=1e-5)
    assert (mesh.v_position.amax(0) + mesh.v_position.amin(0)).abs().max() < 1e-5
    for vectors in (mesh.v_normal, mesh.v_tangent):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-4)
    assert (mesh.v_normal * mesh.v_tangent).sum(1).abs().max() < 1e-4
    assert mesh.v_texcoord.min() >= 0 and mesh.v_texcoord.max() <= 1
    assert mesh.t_vertex_idx.min() >= 0 and mesh.t_vertex_idx.max() < len(mesh.v_position)


def test_a_good_file_keeps_its_texture_coordinates():
    scene = square_scene(Material(albedo_picture=np.full((8, 8, 3), 99, dtype=np.uint8)))
    made = made_quickly(scene)
    check_mesh(made.mesh)
    assert made.report["uv_kept"] and made.report["method"] == "file"
    assert torch.equal(made.mesh.v_texcoord, torch.from_numpy(scene.primitives[0].v_texcoord))
    assert torch.allclose(linear_to_srgb(made.maps.albedo) * 255, torch.tensor(99.0), atol=1e-3)
    again = made_quickly(scene, keep_uv=False)
    assert again.report["method"] == "box" and "asked for" in again.report["reason"]
    assert torch.allclose(again.maps.albedo, made.maps.albedo, atol=1e-5)


UV, TRIANGLES, _ = grid(3)
HINDRANCES = {
    "no texture coordinates": {"v_texcoord": None},
    "across the border": {"v_texcoord": UV * np.float32(2) + np.float32(0.3)},
    "overlap on": {"v_texcoord": np.abs(UV - np.float32(0.5))},
    "cover only": {"v_texcoord": UV * np.float32(0.1)},
    "have no area": {"v_texcoord": np.where(UV > 0.7, UV[1, 0] * 2, UV).astype(np.float32)},
}


@pytest.mark.parametrize("why", HINDRANCES)
def test_a_bad_layout_is_replaced_and_the_reason_given(why):
    made = made_quickly(changed(square_scene(Material(roughness=0.3)), **HINDRANCES[why]))
    check_mesh(made.mesh)
    assert not made.report["uv_kept"] and why in made.report["reason"]
    assert made.report["after"]["overlap"] == 0 and made.report["after"]["coverage"] > 0.3
    assert torch.allclose(made.maps.roughness, torch.tensor(0.3))


def test_whole_tiles_are_shifted_away():
    tiles = np.float32([[0, 0]] * 8 + [[3, -2]] * 8)
    made = made_quickly(changed(square_scene(), v_texcoord=UV + tiles))
    assert not made.report["uv_kept"], "rows of one square in two tiles"
    scene = changed(square_scene(), v_texcoord=UV + np.float32([5, -7]))
    layout = choose(merged(scene, FRONT)).layout
    assert layout is not None and np.allclose(layout.v_texcoord, UV, atol=1e-6)


def test_mirrored_faces_get_vertices_of_their_own():
    """Two halves that share their seam's vertices, the second folded back beside the first."""
    position = np.float32([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0]])
    uv = np.float32([[0.05, 0.9], [0.45, 0.9], [0.95, 0.9], [0.05, 0.1], [0.45, 0.1], [0.45, 0.5]])
    faces = np.array([[0, 1, 4], [0, 4, 3], [1, 5, 2]])
    mirrored = np.array([False, False, True])
    scene = Scene((Primitive(position, faces, v_texcoord=uv),), (Material(),))
    layout = choose(merged(scene, FRONT)).layout
    assert layout is not None
    used = [set(layout.t_vertex_idx[mirrored == flag].ravel()) for flag in (False, True)]
    assert not used[0] & used[1]


def test_materials_share_an_atlas_when_their_charts_do_not_overlap():
    left, right = (square_scene(cells=2).primitives[0] for _ in range(2))
    left = replace(left, v_texcoord=left.v_texcoord * np.float32([0.5, 1]))
    right = replace(
        right,
        v_position=right.v_position + np.float32([2, 0, 0]),
        v_texcoord=right.v_texcoord * np.float32([0.5, 1]) + np.float32([0.5, 0]),
        material=1,
    )
    colours = (Material(albedo=(1.0, 0.0, 0.0)), Material(albedo=(0.0, 1.0, 0.0)))
    apart = made_quickly(Scene((left, right), colours))
    assert apart.report["uv_kept"] and apart.report["before"]["materials"] == 2
    assert apart.maps.albedo[:, :32, 0].min() > 0.99 and apart.maps.albedo[:, 32:, 1].min() > 0.99
    together = made_quickly(Scene((left, replace(right, v_texcoord=left.v_texcoord)), colours))
    assert not together.report["uv_kept"] and "overlap" in together.report["reason"]
    seen = together.maps.albedo.sum((0, 1))
    assert seen[0] > 500 and seen[1] > 500 and seen[2] == 0


@pytest.mark.parametrize(("front", "up"), [("+z", "+y"), ("-x", "+y"), ("+x", "+z"), ("-y", "-x")])
def test_the_front_is_turned_to_plus_z(front, up):
    turn = rotation(front, up)
    assert np.linalg.det(turn) == pytest.approx(1)
    axes = {"x": 0, "y": 1, "z": 2}
    position, faces = icosphere(1)
    tip = np.zeros(3)
    tip[axes[front[1]]] = 3 if front[0] == "+" else -3
    hat = np.zeros(3)
    hat[axes[up[1]]] = 2 if up[0] == "+" else -2
    spike = np.concatenate([position, np.float32([tip, hat])])
    faces = np.concatenate([faces, [[0, 1, len(position)], [0, 1, len(position) + 1]]])
    mesh = made_quickly(Scene((Primitive(spike, faces),), ()), front=front, up=up).mesh
    assert mesh.v_position.amax(0)[2] == pytest.approx(1, abs=1e-5)
    assert mesh.v_position.amin(0)[2] > -1 - 1e-5
    low, high = mesh.v_position.amin(0), mesh.v_position.amax(0)
    assert (high - low)[2] == pytest.approx(2) and (high - low)[1] > (high - low)[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"front": "+y"}, "lie on one line"),
        ({"front": "north"}, "is no axis"),
        ({"size": 8}, "between 16 and 4096"),
        ({"size": 100_000}, "between 16 and 4096"),
    ],
)
def test_nonsense_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        made_quickly(square_scene(), **options)


@pytest.mark.parametrize(
    "position",
    [np.zeros((3, 3)), np.full((3, 3), np.nan), np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2]])],
)
def test_a_surface_without_area_is_refused(position):
    triangle = np.array([[0, 1, 2]])
    for scene in (
        Scene((Primitive(position.astype(np.float32), triangle),), ()),
        Scene((Primitive(position.astype(np.float32), triangle[:0]),), ()),
        Scene((), ()),
    ):
        with pytest.raises(InputError) as caught:
            made_quickly(scene)
        assert "\n" not in str(caught.value)


def test_normals_of_the_file_are_kept_where_they_have_a_length():
    normal = np.tile(np.float32([0, 3, 4]), (16, 1))
    normal[5] = 0
    surface = merged(changed(square_scene(), v_normal=normal), rotation("+x"))
    turned = np.float32([0, 0.6, 0.8]) @ rotation("+x").T
    assert np.allclose(np.delete(surface.v_normal, 5, 0), turned, atol=1e-6)
    # Facing +Z in the file, which is to the viewer's left when +X is the front.
    assert np.allclose(np.abs(surface.v_normal[5]), [1, 0, 0], atol=1e-6)


def test_no_materials_means_no_maps():
    position, faces = icosphere(1)
    plain = Scene((Primitive(position, faces),), (Material("from a stl"),))
    made = made_quickly(plain)
    assert made.maps is None and made.report["maps"] is False
    assert made_quickly(replace(plain, materials=(Material(metallic=0.5),))).maps is not None
    coloured = replace(plain.primitives[0], v_color=np.full((len(position), 3), 0.5, dtype=np.float32))
    assert made_quickly(replace(plain, primitives=(coloured,))).maps.albedo.mean() == pytest.approx(0.5)


def test_far_from_the_origin_and_tiny_objects_keep_their_normals():
    position, faces = icosphere(2)
    for moved in (position.astype(np.float64) * 1e-15, position.astype(np.float64) + 1e6):
        mesh = made_quickly(Scene((Primitive(moved, faces),), ())).mesh
        check_mesh(mesh)
        assert (torch.nn.functional.normalize(mesh.v_position) - mesh.v_normal).abs().max() < 0.05


def test_the_report_is_json_and_the_same_every_time():
    position, faces = islands(50)
    scene = Scene(
        (Primitive(position, faces),), (Material(roughness=0.2),), Attribution(author="A"), ("emission lost",)
    )
    first, second = made_quickly(scene), made_quickly(scene)
    assert json_text(first.report) == json_text(second.report)
    assert first.mesh.v_texcoord.numpy().tobytes() == second.mesh.v_texcoord.numpy().tobytes()
    assert first.maps.stacked().numpy().tobytes() == second.maps.stacked().numpy().tobytes()
    assert first.report["notes"] == ["emission lost"] and first.report["attribution"]["author"] == "A"
    assert first.report["before"]["faces"] == 50 and first.report["after"]["faces"] == 50


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_soup_is_textured_or_refused(data):
    """Broken numbers included: a mesh that a renderer can bear, or one sentence."""
    count = data.draw(st.integers(3, 10))
    number = st.floats(-2, 2, width=16) | st.sampled_from([np.nan, np.inf, 1e30, 1e-30, 0.0])
    points = data.draw(st.lists(st.tuples(number, number, number), min_size=count, max_size=count))
    uv = data.draw(st.lists(st.tuples(number, number), min_size=count, max_size=count))
    corner = st.integers(0, count - 1)
    faces = data.draw(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=12))
    part = Primitive(
        np.array(points, dtype=np.float64), np.array(faces), v_texcoord=np.array(uv, dtype=np.float32)
    )
    pixels = np.full((4, 4, 3), 120, dtype=np.uint8)
    scene = Scene((part,), (Material(albedo_picture=pixels, normal_picture=pixels),))
    try:
        made = made_quickly(scene, size=16)
    except InputError as error:
        assert "\n" not in str(error)
        return
    check_mesh(made.mesh)
    stacked = made.maps.stacked()
    assert torch.isfinite(stacked).all() and stacked[..., :5].min() >= 0 and stacked[..., :5].max() <= 1
    assert torch.allclose(made.maps.normal.norm(dim=2), torch.ones(16, 16), atol=1e-4)
    assert json.loads(json_text(made.report))["after"]["faces"] == len(made.mesh.t_vertex_idx)


def test_maps_survive_their_file(tmp_path):
    maps = grey_maps(16)
    write_maps(tmp_path / "maps.safetensors", maps)
    again = read_maps(tmp_path / "maps.safetensors")
    assert torch.equal(again.stacked(), maps.stacked())
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="no texture maps"):
        read_maps(tmp_path / "bad.safetensors")
    tensors = {name: getattr(maps, name) for name in ("albedo", "metallic", "normal")}
    write_tensors(tmp_path / "odd.safetensors", tensors | {"roughness": torch.zeros(16, 32, 1)})
    with pytest.raises(InputError, match="16, 32, 1"):
        read_maps(tmp_path / "odd.safetensors")


def test_inspection_says_what_prepare_then_does():
    kept = square_scene(Material(roughness=0.4))
    found = inspected(kept)
    assert "would keep" in found["prepare"] and "would bake" in found["prepare"]
    assert made_quickly(kept).report["uv_kept"]
    bare = Scene((Primitive(*icosphere(1)),), ())
    found = inspected(bare)
    assert found["uv"] is None and "xatlas" in found["prepare"] and "no materials" in found["prepare"]
    assert "no texture coordinates" in made_quickly(bare).report["reason"]


OBJ = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"


def test_the_commands_write_and_print(tmp_path, capsys):
    import castex.cli.inspect
    import castex.cli.prepare

    mesh = tmp_path / "square.obj"
    mesh.write_text(OBJ)
    assert entry(castex.cli.inspect, "inspect", [str(mesh)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("faces      2") for line in lines) and "would keep" in lines[-1]
    assert entry(castex.cli.inspect, "inspect", [str(mesh), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["uv"]["coverage"] == 1
    assert entry(castex.cli.inspect, "inspect", [str(mesh), "--front", "up"]) == 2
    assert "is no axis" in capsys.readouterr().err
    assert entry(castex.cli.inspect, "inspect", [str(mesh), "--front=-z", "--up=-z"]) == 2
    assert capsys.readouterr().err
    output = tmp_path / "out"
    output.mkdir()
    (output / "maps.safetensors").write_bytes(b"of an earlier mesh")
    options = [str(mesh), "--output", str(output), "--size", "32", "--front=-z"]
    assert entry(castex.cli.prepare, "prepare", options) == 0
    report = json.loads((output / "report.json").read_text())
    names = {"mesh.safetensors", "report.json"} | ({"maps.safetensors"} if report["maps"] else set())
    assert {path.name for path in output.iterdir()} == names
    assert len(read_mesh(output / "mesh.safetensors").t_vertex_idx) == 2
    before = (output / "mesh.safetensors").read_bytes()
    assert entry(castex.cli.prepare, "prepare", [*options, "--front", "up"]) == 2
    assert "is no axis" in capsys.readouterr().err
    assert (output / "mesh.safetensors").read_bytes() == before


def test_inspection_lists_every_repair(tmp_path, capsys):
    import castex.cli.inspect

    mesh = tmp_path / "a.obj"
    normals = "vn 0 0 1\nvn nan 0 0\n"
    mesh.write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 9 9 9\n" + normals + "f 1//1 2//1 3//2\nf 1//1 2//1 3//2\nf 1 1 2\n"
    )
    assert entry(castex.cli.inspect, "inspect", [str(mesh), "--front=-x", "--up=+z"]) == 0
    text = capsys.readouterr().out
    assert entry(castex.cli.inspect, "inspect", [str(mesh), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["repair"]
    shown = [line.removeprefix("repair").strip() for line in text.splitlines() if line.startswith("repair")]
    ours = {name for name, count in counts.items() if count} - {"faces_total", "vertices_total"}
    assert sorted(shown) == sorted(f"{name.replace('_', ' ')}: {counts[name]}" for name in ours)
    assert {"faces dropped duplicate: 1", "boundary edges: 3", "components: 1"} <= set(shown)


def test_the_settings_allow_what_prepare_allows():
    for size in (SMALLEST_ATLAS, LARGEST_ATLAS):
        PrepareSettings(size=size, keep_uv=True)
    for size in (SMALLEST_ATLAS - 1, LARGEST_ATLAS + 1):
        with pytest.raises(ValidationError, match="size"):
            PrepareSettings(size=size, keep_uv=True)
        with pytest.raises(InputError, match=f"size={size} texels"):
            made_quickly(square_scene(Material()), size=size)


@pytest.mark.parametrize("seconds", [0, -1, 3600.1, float("inf"), float("nan")])
def test_a_time_limit_is_finite(seconds):
    assert PrepareSettings(size=64, keep_uv=True, time_limit_s=3600).time_limit_s == 3600
    with pytest.raises(ValidationError, match="time_limit_s"):
        PrepareSettings(size=64, keep_uv=True, time_limit_s=seconds)


REAL = {
    "meshes/avocado/avocado.gltf": (True, "cover 65%"),
    "meshes/bob/bob_tri.obj": (True, "cover 47%"),
    "meshes/spot/spot.obj": (False, "10 of 5856 triangles reach across the border"),
    "objaverse_glb/db7339a98f464ff38e3c3e32c924ca65.glb": (False, "no texture coordinates"),
    "objaverse_glb/e2ec7e244a1b4e328c92f57b4709257e.glb": (False, "across the border"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared, name):
    from castex.scene_file import load_scene

    kept, words = REAL[name]
    made = prepare(load_scene(shared / name), size=256)
    check_mesh(made.mesh)
    assert made.report["uv_kept"] is kept and words in made.report["reason"]
    after = made.report["after"]
    if name.endswith("spot.obj"):  # what is wrong with the layout is measured too
        assert 0 < made.report["before"]["uv"]["outside"] < 0.01
    assert after["overlap"] < 0.01 and after["coverage"] > 0.3 and after["outside"] == 0
    if name.startswith("objaverse"):
        assert made.maps is not None and torch.isfinite(made.maps.stacked()).all()
    if "avocado" in name:
        # Green skin, and no unlit black between the charts.
        assert made.maps.albedo.mean((0, 1)).argmax() == 1 and made.maps.albedo.amax(2).min() > 0.001


@pytest.mark.long
def test_a_million_triangles_in_a_minute(tmp_path):
    """In a process of its own, so that its memory can be measured."""
    import subprocess

    script = (
        "import resource, time, numpy as np, torch\n"
        "from castex.prepare import prepare\nfrom castex.scene import *\n"
        "rng = np.random.default_rng(0)\n"
        "p = rng.random((1_000_000, 1, 3)) + 0.01 * rng.standard_normal((1_000_000, 3, 3))\n"
        "part = Primitive(p.reshape(-1, 3).astype(np.float32), np.arange(3_000_000).reshape(-1, 3))\n"
        "start = time.monotonic()\n"
        "prepare(Scene((part,), (Material(roughness=0.5),)))\n"
        "print(time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, gigabytes = map(float, done.stdout.split())
    assert seconds < 60 and gigabytes < 2
