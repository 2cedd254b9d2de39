"""OBJ, PLY, STL and OFF, and the real meshes where they are at hand."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from glb import png, sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.errors import InputError
from castex.scene_file import Limits, load_scene
from castex.scene_file.colour import linear_bytes

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
PLY = "property float x\nproperty float y\nproperty float z\n"


def load(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_scene(path)


def test_obj_corners_join_where_all_indices_agree(tmp_path):
    text = (
        SQUARE
        + "vt 0 0\nvt 1 0.25\nvt 0 1\nvn 0 0 1\n# c\nf 1/1/1 2/2/1 3/3/1 \\\n 4/1/1\nf -4/-3/-1 3/3/1 2/2/1\n"
    )
    (part,) = load(tmp_path, "a.obj", text).primitives
    assert len(part.v_position) == 4
    assert np.array_equal(part.t_vertex_idx, [(0, 1, 2), (0, 2, 3), (0, 2, 1)])
    assert np.array_equal(part.v_texcoord, [(0, 1), (1, 0.75), (0, 0), (0, 1)])
    assert np.array_equal(part.v_normal, [(0, 0, 1)] * 4)


def test_obj_materials_groups_and_pictures(tmp_path):
    (tmp_path / "maps").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    (tmp_path / "maps" / "a b.png").write_bytes(png(picture))
    (tmp_path / "a.mtl").write_text(
        "newmtl wood\nKd 0 0 0\nNs 250\nmap_Kd -s 1 1 1 maps\\a b.png\nmap_Pr -imfchan g maps/a b.png\n"
        "norm -bm 0.5 maps/a b.png\nKe 1 0 0\nnewmtl tin foil\nKd 0.5 0.25 0\nPr 0.3\nPm 1\n"
        "d 0.5\nnewmtl chalk\nNs 0\n"
    )
    faces = (
        "usemtl wood\nf 1 2 3\nusemtl tin foil\ng x\nf 1 3 4\nusemtl wood\nf 2 3 4\nusemtl chalk\nf 1 2 4\n"
    )
    scene = load(tmp_path, "a.obj", f"mtllib a.mtl\n{SQUARE}{faces}")
    assert [len(part.t_vertex_idx) for part in scene.primitives] == [2, 1, 1]
    wood, tin, chalk = (scene.materials[part.material] for part in scene.primitives)
    assert np.array_equal(wood.albedo_picture, picture) and wood.albedo == (1.0, 1.0, 1.0)
    assert np.array_equal(wood.roughness_picture, picture[..., 1]) and wood.roughness == 1
    assert np.array_equal(wood.normal_picture, picture) and wood.normal_scale == 0.5
    assert (tin.albedo, tin.roughness, tin.metallic) == ((0.5, 0.25, 0.0), 0.3, 1.0)
    assert chalk.roughness == 1
    assert len(scene.notes) == 2


def test_obj_material_files_are_one_name_or_a_list(tmp_path):
    (tmp_path / "my red.mtl").write_text("newmtl red\nKd 1 0 0\n")
    (tmp_path / "my").write_text("newmtl red\nKd 0 0 1\n")
    (tmp_path / "b.mtl").write_text("newmtl green\nKd 0 1 0\n")
    faces = f"{SQUARE}usemtl red\nf 1 2 3\nusemtl green\nf 1 3 4\n"
    scene = load(tmp_path, "a.obj", f"mtllib my red.mtl\nmtllib b.mtl no.mtl\nmtllib not here.mtl\n{faces}")
    assert [material.albedo for material in scene.materials] == [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    missing = [note.split("'")[1] for note in scene.notes]
    assert missing == ["no.mtl", "not here.mtl"]
    long = " ".join(f"{k:03}.mtl" for k in range(50))
    (tmp_path / "049.mtl").write_text("newmtl red\nKd 0.5 0 0\n")
    assert load(tmp_path, "b.obj", f"mtllib {long}\n{faces}").materials[0].albedo == (0.5, 0.0, 0.0)


def test_obj_exponent_and_height_map(tmp_path):
    (tmp_path / "h.png").write_bytes(png(np.full((4, 4, 3), 9, np.uint8)))
    (tmp_path / "a.mtl").write_text("newmtl m\nNs 250\nmap_Bump h.png\nmap_Kd none.png\n")
    scene = load(tmp_path, "a.obj", f"mtllib a.mtl\nusemtl m\n{SQUARE}f 1 2 3\n")
    assert scene.materials[0].roughness == pytest.approx(0.5) and scene.materials[0].normal_picture is None
    assert len(scene.notes) == 2


def test_obj_vertex_colours_are_decoded(tmp_path):
    (part,) = load(
        tmp_path, "a.obj", "v 0 0 0 1 0 0.5\nv 1 0 0 1 0 0.5\nv 0 1 0 1 0 0.5\nf 1 2 3\n"
    ).primitives
    assert np.allclose(part.v_color, [(1, 0, 0.21404)] * 3, atol=1e-4)


def test_obj_partly_without_texcoords(tmp_path):
    scene = load(tmp_path, "a.obj", f"{SQUARE}vt 0.5 0.5\nf 1/1 2/1 3/1\nf 1 3 4\n")
    assert np.isfinite(scene.primitives[0].v_texcoord).all() and len(scene.notes) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=6), min_size=1, max_size=12), st.booleans())
def test_obj_polygons_keep_their_corners(tmp_path_factory, polygons, relative):
    """Every polygon becomes a fan about its first corner, whatever way its indices are written."""
    points = np.arange(27.0).reshape(9, 3)
    lines = [f"v {x} {y} {z}" for x, y, z in points]
    lines += ["f " + " ".join(str(k - 10 if relative else k) for k in polygon) for polygon in polygons]
    (part,) = load(tmp_path_factory.mktemp("a"), "a.obj", "\n".join(lines)).primitives
    expected = [(p[0], p[k], p[k + 1]) for p in polygons for k in range(1, len(p) - 1)]
    assert np.array_equal(part.v_position[part.t_vertex_idx], points[np.array(expected) - 1])


def test_obj_limit_counts_triangles_of_polygons(tmp_path):
    path = tmp_path / "a.obj"
    path.write_text(f"{SQUARE}f {' 1 2 3 4' * 10}\n")
    with pytest.raises(InputError, match="more than 30 triangles"):
        load_scene(path, limits=Limits(triangles=30))


def test_ply_text_with_quads_colours_and_edges(tmp_path):
    header = f"ply\nformat ascii 1.0\nelement vertex 4\n{PLY}property uchar red\nproperty uchar green\n"
    header += "property uchar blue\nproperty float s\nproperty float t\nelement face 1\n"
    header += (
        "property list uchar int vertex_indices\nelement edge 1\nproperty int vertex1\nproperty int vertex2\n"
    )
    rows = "0 0 0 255 0 9 0 0\n1 0 0 255 0 9 1 0\n1 1 0 255 0 9 1 1\n0 1 0 255 0 9 0 0.75\n"
    (part,) = load(tmp_path, "a.ply", f"{header}end_header\n{rows}4 0 1 2 3\n0 1\n").primitives
    assert len(part.t_vertex_idx) == 2 and len(part.v_position) == 4
    assert np.allclose(part.v_color, linear_bytes(np.array([(255, 0, 9)] * 4, np.uint8)))
    assert np.array_equal(part.v_texcoord, [(0, 1), (1, 1), (1, 0), (0, 0.25)])
    p0, p1, p2 = (part.v_position[part.t_vertex_idx[:, k]] for k in range(3))
    assert np.allclose(np.cross(p1 - p0, p2 - p0), [(0, 0, 1)] * 2)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_ply_binary(endian, tmp_path):
    v_position, triangles, _ = sphere()
    name = "little" if endian == "<" else "big"
    header = f"ply\nformat binary_{name}_endian 1.0\nelement vertex {len(v_position)}\n{PLY}"
    header += f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    faces = np.zeros(len(triangles), [("n", "u1"), ("i", f"{endian}i4", 3)])
    faces["n"], faces["i"] = 3, triangles
    content = header.encode() + v_position.astype(f"{endian}f4").tobytes() + faces.tobytes()
    (part,) = load(tmp_path, "a.ply", content).primitives
    assert np.array_equal(part.t_vertex_idx, triangles)
    assert np.allclose(part.v_position, v_position, atol=1e-6)


def test_stl_is_welded_in_both_forms(tmp_path):
    v_position, triangles, _ = sphere()
    corners = v_position[triangles].astype(np.float32)
    records = np.zeros(len(triangles), [("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    records["v"] = corners
    binary = bytes(80) + struct.pack("<I", len(triangles)) + records.tobytes()
    facets = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join(f"vertex {x} {y} {z}\n" for x, y, z in t)
        + "endloop\nendfacet\n"
        for t in corners
    )
    for content in (binary, f"solid \u00e4\n{facets}endsolid\n".encode("latin-1")):
        (part,) = load(tmp_path, "a.stl", content).primitives
        assert len(part.v_position) == len(np.unique(corners.reshape(-1, 3), axis=0))
        assert np.allclose(part.v_position[part.t_vertex_idx], corners)


def test_off(tmp_path):
    (part,) = load(tmp_path, "a.off", "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n").primitives
    assert np.array_equal(part.t_vertex_idx, [(0, 1, 2), (0, 2, 3)])


# uid: triangles, primitives, materials, pictures, licence. The second has 20 line indices besides.
OBJAVERSE = {
    "b416732d162e4e4d92ee9a37c65fedbc": (13_900, 4, 1, 1, "CC-BY-SA-4.0"),
    "2968ed36911043359cc110067ab8b725": (49_102, 1, 1, 1, "CC-BY-4.0"),
    "e2ec7e244a1b4e328c92f57b4709257e": (104, 8, 8, 5, "CC-BY-4.0"),
    "822202b6b8594342b632b0a39432642a": (768, 64, 1, 1, "CC-BY-4.0"),
    "db7339a98f464ff38e3c3e32c924ca65": (14_402, 1, 1, 0, "CC-BY-4.0"),
}


@pytest.mark.parametrize("uid", OBJAVERSE)
def test_objaverse_files(uid, shared):
    from castex.repair import repaired

    scene, report = repaired(load_scene(shared / "objaverse_glb" / f"{uid}.glb"))
    triangles, primitives, materials, pictures, licence = OBJAVERSE[uid]
    assert report["faces_kept"] == report["faces_total"] == triangles
    assert (len(scene.primitives), len(scene.materials)) == (primitives, materials)
    shown = {id(m.albedo_picture) for m in scene.materials if m.albedo_picture is not None}
    assert len(shown) == pictures
    assert scene.attribution.licence.startswith(licence) and scene.attribution.uid == uid
    assert scene.attribution.author and scene.attribution.title and uid in scene.attribution.source
    assert all((part.v_texcoord is None) == uid.startswith("db73") for part in scene.primitives)


def test_avocado_is_the_same_in_both_formats(shared):
    """Geometry, layout and pictures agree between glTF (turned by its node) and OBJ."""
    (first,), (paint,) = (
        (scene := load_scene(shared / "meshes/avocado/avocado.gltf")).primitives,
        scene.materials,
    )
    (second,), (other,) = (
        (scene := load_scene(shared / "meshes/avocado/avocado.obj")).primitives,
        scene.materials,
    )
    assert len(first.t_vertex_idx) == len(second.t_vertex_idx) == 682 and scene.notes == ()
    for kind in ("albedo", "roughness", "metallic", "normal"):
        picture = getattr(paint, f"{kind}_picture")
        assert picture.shape[:2] == (2048, 2048)
        assert np.array_equal(picture, getattr(other, f"{kind}_picture"))

    def corners(part):
        rows = np.concatenate([part.v_position * 10, part.v_texcoord], axis=1)[part.t_vertex_idx].reshape(
            -1, 5
        )
        return rows[np.lexsort(np.round(rows, 3).T)]

    distance = np.abs(corners(first)[:, None, :] - corners(second)[None, :, :]).max(axis=2).min(axis=1)
    assert distance.max() < 2e-3


@pytest.mark.parametrize(("name", "triangles"), [("spot/spot", 5_856), ("bob/bob_tri", 10_688)])
def test_obj_files_without_their_library(name, triangles, shared):
    scene = load_scene(shared / "meshes" / f"{name}.obj")
    assert len(scene.primitives[0].t_vertex_idx) == triangles
    assert np.abs(scene.primitives[0].v_texcoord - 0.5).max() < 0.6 and "missing" in scene.notes[0]
