"""Exported files: bytes by the specification, glTF's normals, attribution, one-sentence errors."""

from __future__ import annotations

import dataclasses
import os
import socket

import numpy as np
import pytest
import torch
from exported import AUTHOR, Glb, joined, moved, painted, quad, sphere
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from castex import __version__
from castex.errors import InputError
from castex.export import (
    credit,
    export_glb,
    export_obj,
    mirrored_triangles,
    portable,
    swapped_normals,
)
from castex.maps import TextureMaps
from castex.mesh import Mesh, with_tangents
from castex.scene import Attribution

PROVENANCE = {"seed": 3, "prompt": "a brass lamp", "settings": "0" * 64}


def two_quads():
    """An ordinary square left in the atlas, a mirrored one right of it."""
    return joined(moved(quad(), (0.0, 0.0), 0.5), moved(quad(mirrored=True), (0.5, 0.5), 0.5))


def exported(tmp_path, mesh, maps, **more):
    path = tmp_path / "mesh.glb"
    export_glb(path, mesh, maps, **({"attribution": AUTHOR, "provenance": PROVENANCE} | more))
    return Glb(path.read_bytes())


def test_geometry_is_stored_exactly(tmp_path):
    mesh = sphere()
    glb = exported(tmp_path, mesh, painted())
    assert np.array_equal(glb.rows("POSITION"), mesh.v_position.numpy())
    assert np.array_equal(glb.rows("NORMAL"), mesh.v_normal.numpy())
    assert np.array_equal(glb.rows("TANGENT")[:, :3], mesh.v_tangent.numpy())
    assert np.array_equal(glb.rows("TEXCOORD_0"), mesh.v_texcoord.numpy())
    assert np.array_equal(glb.rows("indices"), mesh.t_vertex_idx.numpy())
    assert set(glb.rows("TANGENT")[:, 3]) == {1.0}
    accessor = glb.document["accessors"][0]
    assert accessor["min"] == mesh.v_position.amin(0).tolist()
    assert accessor["max"] == mesh.v_position.amax(0).tolist()


@pytest.mark.parametrize(("vertices", "kind"), [(65535, 5123), (65536, 5125)])
def test_indices_are_as_small_as_glTF_allows(tmp_path, vertices, kind):
    mesh = quad()
    spare = {
        field.name: torch.cat([value, value[:1].expand(vertices - 4, -1)])
        for field in dataclasses.fields(Mesh)
        if len(value := getattr(mesh, field.name)) == 4
    }
    glb = exported(tmp_path, dataclasses.replace(mesh, **spare), painted(16))
    number = glb.document["meshes"][0]["primitives"][0]["indices"]
    assert glb.document["accessors"][number]["componentType"] == kind
    assert np.array_equal(glb.rows("indices"), mesh.t_vertex_idx.numpy())


def test_one_material_with_three_pictures(tmp_path):
    maps = painted()
    glb = exported(tmp_path, quad(), maps, filled=np.ones((64, 64), dtype=bool))
    document = glb.document
    assert [len(document[name]) for name in ("meshes", "materials", "images", "textures")] == [1, 1, 3, 3]
    material = document["materials"][0]
    surface = material["pbrMetallicRoughness"]
    assert material["occlusionTexture"]["index"] == surface["metallicRoughnessTexture"]["index"]
    assert (surface["baseColorFactor"], surface["metallicFactor"], surface["roughnessFactor"]) == (
        [1] * 4,
        1,
        1,
    )
    colour, packed, normal = (
        glb.picture(kind) / 255 for kind in ("baseColor", "metallicRoughness", "normal")
    )
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    assert np.abs(linear - maps.albedo.numpy()).max() < 0.005
    assert (packed[..., 0] == 1).all()
    assert np.abs(packed[..., 1:2] - maps.roughness.numpy()).max() < 0.5001 / 255
    assert np.abs(packed[..., 2:] - maps.metallic.numpy()).max() < 0.5001 / 255
    assert np.abs(normal * 2 - 1 - maps.normal.numpy()).max() < 1.0001 / 255


def test_equal_inputs_give_equal_bytes_that_name_no_machine(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        exported(tmp_path / name, two_quads(), painted(32))
    first, second = ((tmp_path / name / "mesh.glb").read_bytes() for name in ("a", "b"))
    assert first == second
    for private in (str(tmp_path), socket.gethostname(), os.environ.get("HOME", str(tmp_path))):
        assert private.encode() not in first


def test_attribution_and_provenance_travel_inside(tmp_path):
    asset = exported(tmp_path, quad(), painted(16)).document["asset"]
    assert asset["generator"] == f"castex {__version__}"
    assert asset["copyright"] == (
        f"Bed Lamp, by cowc2, CC-BY-SA-4.0, https://example.org/lamp; changed with castex {__version__}"
    )
    assert asset["extras"] == {
        "title": "Bed Lamp",
        "author": "cowc2",
        "license": "CC-BY-SA-4.0",
        "source": "https://example.org/lamp",
        "uid": "b416732d",
        "castex": {"version": __version__, **PROVENANCE},
    }
    nobody = exported(tmp_path, quad(), painted(16), attribution=Attribution()).document["asset"]
    assert set(nobody) == {"generator", "version", "extras"} and set(nobody["extras"]) == {"castex"}
    assert credit(Attribution(uid="ff00")) == "Objaverse ff00" and credit(Attribution()) == ""


def test_a_hostile_title_stays_one_line(tmp_path):
    title = 'x\nv 0 0 0\r\n# "\ud800\u2028é'
    hostile = dataclasses.replace(AUTHOR, title=title)
    asset = exported(tmp_path, quad(), painted(16), attribution=hostile).document["asset"]
    assert asset["extras"]["title"] == 'x v 0 0 0 # "? é'
    export_obj(tmp_path, quad(), painted(16), attribution=hostile)
    lines = (tmp_path / "textured.obj").read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == 4


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(0, 6.3), mirrored=st.booleans(), seed=st.integers(0, 2**31))
def test_bitangent_points_up_the_picture(tmp_path_factory, angle, mirrored, seed):
    """glTF's w (N x T) is the direction in which v falls, for a triangle anywhere, turned or mirrored."""
    stream = torch.Generator().manual_seed(seed)
    corners = torch.randn(3, 3, generator=stream)
    face = torch.linalg.cross(corners[1] - corners[0], corners[2] - corners[0])
    if face.norm() < 0.3:
        return
    normal = face / face.norm()
    # Isometric layout: the plane of the triangle itself, u to the right and v down as seen from outside.
    right = (corners[1] - corners[0]) / (corners[1] - corners[0]).norm()
    plane = torch.stack([right, -torch.linalg.cross(normal, right)], dim=1)
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    layout = plane @ turn.float() @ torch.diag(torch.tensor([-1.0 if mirrored else 1.0, 1.0]))
    mesh = with_tangents(
        corners, normal.expand(3, 3).clone(), corners @ layout * 0.1, torch.tensor([[0, 1, 2]])
    )
    assert mirrored_triangles(mesh).tolist() == [mirrored]
    folder = tmp_path_factory.mktemp("glb")
    glb = exported(folder, mesh, painted(8), filled=np.ones((8, 8), dtype=bool))
    tangent = glb.rows("TANGENT")[0]
    bitangent = tangent[3] * np.cross(glb.rows("NORMAL")[0], tangent[:3])
    # The layout is orthogonal, so its second column is the direction in which v grows.
    assert bitangent @ layout[:, 1].numpy() == pytest.approx(-1, abs=1e-3)
    assert tangent[:3] @ layout[:, 0].numpy() == pytest.approx(1, abs=1e-3)


def test_a_reader_of_glTF_sees_the_normals_that_we_shade(tmp_path):
    """Texel by texel: T n_x + w (N x T) n_y + N n_z from the file is our shading normal from memory."""
    mesh, maps = two_quads(), painted(64)
    glb = exported(tmp_path, mesh, maps)
    stored = glb.picture("normal") / 255 * 2 - 1
    up = np.array([0.0, 0.0, 1.0])
    for (first, last), vertex in (((2, 30), 0), ((34, 62), 4)):
        tangent = glb.rows("TANGENT")[vertex]
        frame = np.stack([tangent[:3], tangent[3] * np.cross(up, tangent[:3]), up])
        inner = slice(first + 4, last - 4)
        theirs = stored[inner, inner] @ frame
        ours_bitangent = np.cross(mesh.v_tangent[vertex], up)
        ours_frame = np.stack([mesh.v_tangent[vertex], -ours_bitangent, up])
        ours = maps.normal[inner, inner].numpy() @ ours_frame
        assert np.abs(theirs - ours).max() < 1.0001 / 255 + 1e-6
    assert glb.rows("TANGENT")[0, 3] == 1 and glb.rows("TANGENT")[4, 3] == -1


def test_swapping_normals_twice_changes_nothing():
    mesh, maps = two_quads(), painted(64)
    once = swapped_normals(mesh, maps)
    differs = (once.normal != maps.normal).any(-1)
    assert differs[34:62, 34:62].float().mean() > 0.9 and not differs[2:30, 2:30].any()
    twice = swapped_normals(mesh, once)
    assert torch.equal(twice.normal, maps.normal)
    assert swapped_normals(sphere(), maps) is maps


def test_a_vertex_between_mirrored_and_ordinary_triangles_is_split(tmp_path):
    """A folded strip: the middle edge belongs to a triangle of each kind."""
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    texcoord = torch.tensor([[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.8, 0.8]])
    normal = torch.tensor([[0.0, 0, 1]]).repeat(4, 1)
    mesh = with_tangents(corners, normal, texcoord, torch.tensor([[0, 1, 2], [0, 2, 3]]))
    assert mirrored_triangles(mesh).tolist() == [False, True]
    glb = exported(tmp_path, mesh, painted(16))
    indices, tangents = glb.rows("indices"), glb.rows("TANGENT")
    assert len(tangents) == 6
    assert np.array_equal(tangents[indices][..., 3], [[1, 1, 1], [-1, -1, -1]])
    for name, values in (("POSITION", mesh.v_position), ("TEXCOORD_0", mesh.v_texcoord)):
        assert np.array_equal(glb.rows(name)[indices], values[mesh.t_vertex_idx].numpy())


def test_padding_hides_the_background_of_the_atlas():
    mesh, maps = quad(), painted(64)
    background = torch.ones(64, 64, dtype=torch.bool)
    background[8:56, 8:56] = False
    spoiled = dataclasses.replace(maps, albedo=maps.albedo.masked_fill(background[..., None], 1.0))
    ready = portable(mesh, spoiled)
    assert torch.equal(ready.albedo[8:56, 8:56], maps.albedo[8:56, 8:56])
    assert torch.allclose(ready.albedo[20, :8], maps.albedo[20, 8].expand(8, 3), atol=1e-6)
    assert ready.albedo.max() <= maps.albedo.max(), "no texel of the white background is left"
    half = np.zeros((64, 64), dtype=bool)
    half[:, :32] = True
    assert torch.allclose(portable(mesh, maps, half).albedo[:, 40], maps.albedo[:, 31])


def test_obj_and_mtl_hold_the_same_mesh(tmp_path):
    mesh, maps = sphere(6, 8), painted(32)
    export_obj(tmp_path, mesh, maps, attribution=AUTHOR, stem="lamp")
    lines = (tmp_path / "lamp.obj").read_text().splitlines()
    assert lines[0] == f"# castex {__version__}" and "by cowc2, CC-BY-SA-4.0" in lines[1]
    table = {key: [] for key in ("v", "vt", "vn", "f")}
    for line in lines:
        key, *rest = line.split()
        if key in table:
            table[key].append(rest)
    assert np.array_equal(np.array(table["v"], dtype=np.float32), mesh.v_position.numpy())
    assert np.array_equal(np.array(table["vn"], dtype=np.float32), mesh.v_normal.numpy())
    upright = np.array(table["vt"], dtype=np.float64) * (1, -1) + (0, 1)
    assert np.abs(upright - mesh.v_texcoord.numpy()).max() < 1e-7
    faces = [[[int(number) for number in corner.split("/")] for corner in face] for face in table["f"]]
    assert np.array_equal(np.array(faces), np.repeat(mesh.t_vertex_idx.numpy()[..., None] + 1, 3, axis=2))
    material = (tmp_path / "lamp.mtl").read_text()
    assert "cowc2" in material and "mtllib lamp.mtl" in lines
    for key in ("map_Kd", "map_Pr", "map_Pm", "norm"):
        (file,) = (line.split()[1] for line in material.splitlines() if line.startswith(key + " "))
        with Pillow.open(tmp_path / file) as picture:
            assert picture.size == (32, 32)


def test_what_cannot_be_exported_is_refused_and_nothing_is_overwritten(tmp_path):
    mesh, maps = quad(), painted(16)
    exported(tmp_path, mesh, maps)
    before = (tmp_path / "mesh.glb").read_bytes()
    nan = mesh.v_position.clone()
    nan[0, 0] = torch.nan
    cases = [
        (dataclasses.replace(mesh, t_vertex_idx=mesh.t_vertex_idx[:0]), maps, "no triangle"),
        (dataclasses.replace(mesh, v_position=nan), maps, "v_position .* NaN"),
        (dataclasses.replace(mesh, v_normal=mesh.v_normal * 2), maps, "v_normal .* unit length"),
        (dataclasses.replace(mesh, v_tangent=mesh.v_tangent * 0), maps, "v_tangent .* unit length"),
        (mesh, dataclasses.replace(maps, albedo=maps.albedo * torch.inf), "albedo map holds NaN"),
        (mesh, TextureMaps(*(m[:8] for m in vars(maps).values())), "16 x 8 texels"),
    ]
    for broken, values, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            exported(tmp_path, broken, values)
    with pytest.raises((TypeError, ValueError)):
        exported(tmp_path, mesh, maps, provenance={"loss": float("nan")})
    assert (tmp_path / "mesh.glb").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mesh.glb"]
