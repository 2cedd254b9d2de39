"""glTF files of every kind of feature, built in code, and what they must become."""

from __future__ import annotations

import base64
import json
import math
from urllib.parse import quote

import numpy as np
import pytest
from glb import Glb, good, png, sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.errors import InputError
from castex.scene_file import Limits, load_scene

TRIANGLE = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], np.float32)
UV = np.array([(0, 0), (1, 0), (0, 1)], np.float32)


def volume(part):
    """Signed volume: positive where the winding points outwards."""
    p0, p1, p2 = (part.v_position[part.t_vertex_idx[:, k]] for k in range(3))
    return float((p0 * np.cross(p1, p2)).sum() / 6)


def one(glb, tmp_path, **options):
    """The only primitive of a file, and its material and scene."""
    scene = load_scene(glb.write(tmp_path / "a.glb"), **options)
    (part,) = scene.primitives
    return part, scene.materials[part.material], scene


def painted(picture, *, uv=None, material=None, **attributes):
    """A triangle whose albedo is a picture."""
    glb = Glb()
    made = glb.primitive(TRIANGLE, TEXCOORD_0=UV if uv is None else uv, **attributes)
    info = {"index": glb.texture(png(picture))}
    made["material"] = glb.material(**(material or {"pbrMetallicRoughness": {"baseColorTexture": info}}))
    glb.node(made)
    return glb


def test_a_file_with_most_features(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    uid = "0123456789abcdef" * 2
    scene = load_scene(good(pixels).write(tmp_path / f"{uid}.glb"))
    assert len(scene.primitives) == 2 and len(scene.materials) == 1 and scene.notes == ()
    author = scene.attribution
    assert (author.author, author.title, author.licence, author.uid) == ("A", "B", "CC0-1.0", uid)
    material = scene.materials[0]
    assert material.name == "paint" and material.albedo == (1.0, 0.5, 0.25)
    assert np.array_equal(material.albedo_picture, pixels)
    assert np.array_equal(material.roughness_picture, pixels[..., 1])
    assert np.array_equal(material.metallic_picture, pixels[..., 2])
    assert np.array_equal(material.normal_picture, pixels) and material.normal_scale == 0.5
    # The root turns by half a turn about y: the first sphere goes to x = -1, the second is mirrored.
    for part, x in zip(scene.primitives, (-1.0, 0.0), strict=True):
        assert np.allclose(part.v_position.mean(axis=0), (x, 0, 0), atol=0.1)
        assert volume(part) > 3
        assert np.allclose(part.v_normal, part.v_position - (x, 0, 0), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    angle=st.floats(-3, 3),
    scale=st.tuples(*[st.sampled_from([-2.0, 0.5, 1.0, 3.0])] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_transforms_and_matrices_agree(tmp_path_factory, angle, scale, shift):
    """T * R * S of a parent and a child is the product of their matrices; the winding follows its sign."""
    v_position, triangles, _ = sphere()
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * scale, shift
    parts = []
    for local in (
        {"translation": shift, "rotation": [0, math.sin(angle / 2), 0, math.cos(angle / 2)], "scale": scale},
        {"matrix": matrix.T.reshape(-1).tolist()},
    ):
        glb = Glb()
        glb.node(glb.primitive(v_position, triangles, NORMAL=v_position.astype(np.float32)), **local)
        glb.gltf["nodes"].append({"children": [0], **local})
        glb.gltf["scenes"][0]["nodes"] = [1]
        parts.append(one(glb, tmp_path_factory.mktemp("a"))[0])
    linear = matrix[:3, :3] @ matrix[:3, :3]
    used = np.unique(triangles)
    expected = v_position[used].astype(np.float32) @ linear.T + matrix[:3, :3] @ shift + shift
    normals = v_position[used] @ np.linalg.inv(linear)
    for part in parts:
        assert np.allclose(part.v_position, expected, atol=1e-5)
        assert np.allclose(part.v_normal, normals / np.linalg.norm(normals, axis=1, keepdims=True), atol=1e-5)
        assert volume(part) > 0


def test_a_place_far_away_keeps_its_shape(tmp_path):
    glb = Glb()
    glb.node(glb.primitive(TRIANGLE), translation=[1e9, 0, 0])
    part, _, _ = one(glb, tmp_path)
    assert np.allclose(part.v_position - part.v_position[0], TRIANGLE, atol=1e-6)


@pytest.mark.parametrize("mode", [5, 6])
def test_strips_and_fans(mode, tmp_path):
    """A square as strip or fan faces +Z all over, as two triangles do."""
    order = [0, 1, 3, 2] if mode == 5 else [0, 1, 2, 3]
    square = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], np.float32)
    glb = Glb()
    glb.node({**glb.primitive(square, np.array(order)), "mode": mode})
    part, _, _ = one(glb, tmp_path)
    p0, p1, p2 = (part.v_position[part.t_vertex_idx[:, k]] for k in range(3))
    assert np.allclose(np.cross(p1 - p0, p2 - p0), [(0, 0, 1)] * 2)


def test_lines_are_left_out_with_a_note(tmp_path):
    glb = Glb()
    glb.node(glb.primitive(TRIANGLE), {**glb.primitive(TRIANGLE), "mode": 1})
    part, _, scene = one(glb, tmp_path)
    assert len(part.t_vertex_idx) == 1 and scene.notes == ("its points and lines are left out",)


def test_normalised_interleaved_and_sparse_accessors(tmp_path):
    glb = Glb()
    rows = np.zeros(3, [("p", "<f4", 3), ("uv", "<u2", 2)])
    rows["p"], rows["uv"] = TRIANGLE, UV * 65535
    view = glb.view(rows.tobytes(), byteStride=16)
    for offset, code, kind in ((0, 5126, "VEC3"), (12, 5123, "VEC2")):
        glb.gltf["accessors"].append(
            {"bufferView": view, "byteOffset": offset, "componentType": code, "count": 3, "type": kind}
        )
    glb.gltf["accessors"][1]["normalized"] = True
    colours = glb.accessor(np.array([(255, 0, 51)] * 3, np.uint8))
    glb.gltf["accessors"][0]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": glb.view(np.array([1], np.uint16).tobytes()), "componentType": 5123},
        "values": {"bufferView": glb.view(np.array([7, 8, 9], np.float32).tobytes())},
    }
    glb.node({"attributes": {"POSITION": 0, "TEXCOORD_0": 1, "COLOR_0": colours}})
    part, _, _ = one(glb, tmp_path)
    assert np.array_equal(part.v_position, [(0, 0, 0), (7, 8, 9), (0, 1, 0)])
    assert np.array_equal(part.v_texcoord, UV)
    assert np.allclose(part.v_color, [(1, 0, 0.2)] * 3)


def test_white_vertex_colours_are_no_colours(tmp_path):
    glb = Glb()
    glb.node(glb.primitive(TRIANGLE, COLOR_0=np.ones((3, 4), np.float32)))
    assert one(glb, tmp_path)[0].v_color is None


def test_texture_transform_of_the_specification(tmp_path):
    """The extension's own example shows only the lower left quadrant of the picture."""
    glb = painted(np.zeros((4, 4, 3), np.uint8), uv=np.array([(0, 0), (1, 0), (1, 1)], np.float32))
    move = {"offset": [0, 1], "rotation": math.pi / 2, "scale": [0.5, 0.5]}
    rough = glb.gltf["materials"][0]["pbrMetallicRoughness"]
    rough["baseColorTexture"]["extensions"] = {"KHR_texture_transform": move}
    part, _, _ = one(glb, tmp_path)
    assert np.allclose(part.v_texcoord, [(0, 1), (0, 0.5), (0.5, 0.5)], atol=1e-6)


def test_the_albedo_chooses_the_layout_and_others_give_way(tmp_path):
    """Equal layouts under another number are kept; a different one is replaced by the mean of its picture."""
    grey = np.full((2, 2, 3), 51, np.uint8)
    other = UV[::-1].copy()
    for second, kept in ((other, True), (UV, False)):
        glb = painted(np.zeros((4, 4, 3), np.uint8), TEXCOORD_1=other, TEXCOORD_2=second)
        rough = glb.gltf["materials"][0]["pbrMetallicRoughness"]
        rough["baseColorTexture"]["texCoord"] = 1
        rough["metallicRoughnessTexture"] = {"index": glb.texture(png(grey)), "texCoord": 2}
        part, material, scene = one(glb, tmp_path)
        assert np.allclose(part.v_texcoord, other)
        assert (material.roughness_picture is not None) == kept and len(scene.notes) == (0 if kept else 1)
        assert material.roughness == pytest.approx(1.0 if kept else 0.2)


def test_a_picture_without_texcoords_becomes_its_mean(tmp_path):
    half = np.zeros((2, 2, 3), np.uint8)
    half[0] = 255
    glb = painted(half)
    del glb.gltf["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"]
    part, material, scene = one(glb, tmp_path)
    assert part.v_texcoord is None and material.albedo_picture is None
    assert material.albedo == pytest.approx((0.5, 0.5, 0.5)) and "no texture coordinates" in scene.notes[0]


def test_unlit_emission_and_transparency_are_mentioned(tmp_path):
    material = {
        "extensions": {"KHR_materials_unlit": {}},
        "emissiveFactor": [1, 0, 0],
        "alphaMode": "BLEND",
        "pbrMetallicRoughness": {"roughnessFactor": 0.2},
    }
    _, made, scene = one(painted(np.zeros((2, 2, 3), np.uint8), material=material), tmp_path)
    assert (made.roughness, made.metallic) == (1.0, 0.0)
    assert [note.split(" (")[0] for note in scene.notes] == [
        "emitted light is left out",
        "transparency is left out",
        "an unlit material takes roughness 1 and metallic 0",
    ]


def test_without_a_material_the_surface_is_plain(tmp_path):
    glb = Glb()
    glb.node(glb.primitive(TRIANGLE))
    assert (one(glb, tmp_path)[1].metallic, one(glb, tmp_path)[1].albedo) == (0.0, (1.0, 1.0, 1.0))


def test_skinned_meshes_stand_in_the_pose_of_the_file(tmp_path):
    """The joint lifts by 5, its inverse bind matrix takes 3 back; the mesh's own node does not count."""
    inverse = np.eye(4, dtype=np.float32)
    inverse[1, 3] = -3
    glb = Glb()
    made = glb.primitive(
        TRIANGLE, JOINTS_0=np.zeros((3, 4), np.uint8), WEIGHTS_0=np.tile(np.float32([2, 0, 0, 0]), (3, 1))
    )
    glb.node(made, skin=0, translation=[100, 0, 0])
    glb.gltf["nodes"].append({"translation": [0, 5, 0]})
    glb.gltf["scenes"][0]["nodes"].append(1)
    glb.gltf["skins"] = [
        {"joints": [1], "inverseBindMatrices": glb.accessor(inverse.T.reshape(1, 16).copy())}
    ]
    part, _, scene = one(glb, tmp_path)
    assert np.allclose(part.v_position, TRIANGLE + np.array([0, 2, 0])) and "pose" in scene.notes[0]


def test_relative_and_embedded_uris(tmp_path):
    """A name with a space and an umlaut is percent-encoded in the file."""
    glb = good()
    name = "bücher und mehr.bin"
    (tmp_path / name).write_bytes(bytes(glb.binary))
    embedded = "data:application/octet-stream;base64," + base64.b64encode(bytes(glb.binary)).decode()
    scenes = []
    for uri in (quote(name), embedded):
        path = tmp_path / "a.gltf"
        path.write_text(json.dumps({**glb.gltf, "buffers": [{"uri": uri, "byteLength": len(glb.binary)}]}))
        scenes.append(load_scene(path))
    for scene in scenes:
        assert len(scene.primitives) == 2
        assert np.array_equal(scene.materials[0].albedo_picture, scenes[0].materials[0].albedo_picture)


@pytest.mark.parametrize("suffix", [".fbx", ".txt", ""])
def test_unknown_suffixes(suffix, tmp_path):
    (tmp_path / f"a{suffix}").write_bytes(b"x")
    with pytest.raises(InputError, match="no mesh file that can be read"):
        load_scene(tmp_path / f"a{suffix}")


def test_a_missing_file_and_a_folder(tmp_path):
    (tmp_path / "folder.glb").mkdir()
    for name in ("nothing.glb", "folder.glb"):
        with pytest.raises(InputError, match="no such file"):
            load_scene(tmp_path / name)


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (Limits(triangles=335), "more than 335 triangles"),
        (Limits(file_bytes=1000), "exceed 1000 bytes"),
        (Limits(json_items=20), "items"),
        (Limits(picture_pixels=255), "16 x 16 pixels"),
    ],
)
def test_limits(limits, match, tmp_path):
    with pytest.raises(InputError, match=match):
        load_scene(good().write(tmp_path / "a.glb"), limits=limits)


def test_shared_vertices_are_not_copied_into_every_part(tmp_path):
    """Primitives that each use three of many vertices hold three each."""
    glb = Glb()
    whole = glb.primitive(np.random.default_rng(0).random((3000, 3)))
    parts = []
    for k in range(100):
        indices = glb.accessor(np.arange(3 * k, 3 * k + 3, dtype=np.uint32)[:, None])
        parts.append({**whole, "indices": indices})
    glb.node(*parts)
    scene = load_scene(glb.write(tmp_path / "a.glb"))
    assert [len(part.v_position) for part in scene.primitives] == [3] * 100
