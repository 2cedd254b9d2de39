"""Exported GLBs as others see them: Khronos' validator, and our own reader and renderer after a reload."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from exported import AUTHOR, Glb, install_validator, joined, moved, painted, quad, reports, sphere

from castex.bake import atlas
from castex.export import export_glb, export_obj
from castex.light import prefiltered
from castex.maps import linear_to_srgb, srgb_to_linear
from castex.prepare import prepare
from castex.render import MeshRenderer
from castex.scene_file import load_scene
from castex.shot import fixed_shot

SIZE = 128
REAL = [
    "objaverse_glb/822202b6b8594342b632b0a39432642a.glb",
    "objaverse_glb/b416732d162e4e4d92ee9a37c65fedbc.glb",
    "objaverse_glb/db7339a98f464ff38e3c3e32c924ca65.glb",
    "objaverse_glb/e2ec7e244a1b4e328c92f57b4709257e.glb",
    "meshes/avocado/avocado.gltf",
    "meshes/spot/spot_castex.obj",
    # 49,108 faces: half a minute of xatlas.
    pytest.param("objaverse_glb/2968ed36911043359cc110067ab8b725.glb", marks=pytest.mark.long),
]


@pytest.fixture(scope="module")
def validator(request, tmp_path_factory):
    """Khronos' validator, kept in pytest's cache between runs."""
    cache = getattr(request.config, "cache", None)
    return install_validator(cache.mkdir("khronos") if cache else tmp_path_factory.mktemp("khronos"))


@pytest.fixture(scope="module")
def light():
    """A sky that is brighter and warmer on one side, so that a wrong normal or colour shows."""
    v, u = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 64), indexing="ij")
    sun = torch.exp(-((u - 0.3) ** 2 + (v - 0.25) ** 2) / 0.02)
    return prefiltered(torch.stack([0.2 + 2 * sun, 0.3 + 1.5 * sun, 0.5 * (1 - v) + 0.5 * sun], dim=-1), 32)


def relief():
    """A round ball: bright albedo, rough to smooth, strongly tilted normals."""
    return sphere(24, 36), painted(SIZE)


def squares():
    """Two squares back to back and a little apart, one of them mirrored in the atlas."""
    front = moved(quad(), (0.0, 0.0), 0.5)
    back = moved(quad(mirrored=True), (0.5, 0.5), 0.5)
    turn, apart = torch.tensor([-1.0, 1.0, -1.0]), torch.tensor([0.0, 0.0, 0.25])
    fields = {name: getattr(back, name) * turn for name in ("v_position", "v_normal", "v_tangent")}
    front = dataclasses.replace(front, v_position=front.v_position + apart)
    back = dataclasses.replace(back, **fields | {"v_position": fields["v_position"] - apart})
    return joined(front, back), painted(SIZE)


def write(path, mesh, maps, **more):
    export_glb(path, mesh, maps, attribution=AUTHOR, provenance={"seed": 0}, **more)


def reloaded(path, size=SIZE):
    """The mesh and the maps that this package reads from the file."""
    prepared = prepare(load_scene(path), front="+z", size=size)
    return prepared.mesh, prepared.maps


def psnr(ours, theirs, covered):
    """Decibels over the covered pixels alone, on displayed colours."""
    difference = (linear_to_srgb(ours) - linear_to_srgb(theirs)).permute(0, 2, 3, 1)[covered[:, 0] > 0]
    return -10 * difference.square().mean().log10().item()


def pictures_agree(light, before, after):
    """PSNR between renders of two (mesh, maps) pairs from the same cameras."""
    shot = fixed_shot([0.0, 120.0, 200.0, 300.0], [20.0, -30.0, 60.0, 0.0], background=(0.0, 0.0, 0.0))
    renders = []
    for mesh, maps in (before, after):
        renderer = MeshRenderer(mesh, light, 96)
        buffer = renderer.buffer(shot)
        renders.append(renderer.shaded(maps, buffer, shot))
    return psnr(*renders, renderer.coverage(buffer, len(shot)))


@pytest.mark.parametrize("made", [relief, squares])
def test_reload_gives_the_same_mesh_and_maps(tmp_path, made):
    mesh, maps = made()
    write(tmp_path / "mesh.glb", mesh, maps)
    again, back = reloaded(tmp_path / "mesh.glb")
    for name in ("v_position", "v_normal", "v_texcoord"):
        ours, theirs = getattr(mesh, name)[mesh.t_vertex_idx], getattr(again, name)[again.t_vertex_idx]
        torch.testing.assert_close(theirs, ours, atol=2e-6, rtol=1e-5)
    step = 1.001 / 255
    layout = atlas(mesh.v_texcoord.numpy(), mesh.t_vertex_idx.numpy(), SIZE)
    covered = torch.from_numpy(layout.texel_triangle_idx >= 0)
    assert covered.float().mean() > 0.2
    assert (linear_to_srgb(back.albedo) - linear_to_srgb(maps.albedo))[covered].abs().max() <= step
    assert (back.roughness - maps.roughness)[covered].abs().max() <= step
    assert (back.metallic - maps.metallic)[covered].abs().max() <= step
    assert ((back.normal - maps.normal) / 2)[covered].abs().max() <= step


@pytest.mark.parametrize("made", [relief, squares])
@pytest.mark.parametrize("suffix", ["glb", "obj"])
def test_reload_renders_alike(tmp_path, light, made, suffix):
    before = made()
    if suffix == "glb":
        write(tmp_path / "mesh.glb", *before)
    else:
        export_obj(tmp_path, *before, attribution=AUTHOR, stem="mesh")
    assert pictures_agree(light, before, reloaded(tmp_path / f"mesh.{suffix}")) > 40


def raw_albedo(maps):
    """Albedo written as if it were already encoded, the defect of the released code."""
    return dataclasses.replace(maps, albedo=srgb_to_linear(maps.albedo))


def swapped_green(maps):
    """DirectX's normals: green points down."""
    return dataclasses.replace(maps, normal=maps.normal * torch.tensor([1.0, -1.0, 1.0]))


def swapped_channels(maps):
    """Roughness in blue and metallic in green."""
    return dataclasses.replace(maps, roughness=maps.metallic, metallic=maps.roughness)


@pytest.mark.parametrize("made", [relief, squares])
@pytest.mark.parametrize("mistake", [raw_albedo, swapped_green, swapped_channels])
def test_a_wrong_convention_would_be_seen(tmp_path, light, made, mistake):
    """The controls of the test above: each common mistake in the file costs far more than 8 bits do."""
    mesh, maps = made()
    write(tmp_path / "mesh.glb", mesh, mistake(maps))
    assert pictures_agree(light, (mesh, maps), reloaded(tmp_path / "mesh.glb")) < 40


def faults(report):
    """Errors and warnings, in words."""
    return [
        f"{message['code']} at {message.get('pointer')}: {message['message']}"
        for message in report["issues"]["messages"]
        if message["severity"] <= 1
    ]


def test_khronos_finds_no_fault_in_generated_meshes(tmp_path, validator):
    files = []
    for name, (mesh, maps) in {"relief": relief(), "squares": squares()}.items():
        files.append(tmp_path / f"{name}.glb")
        write(files[-1], mesh, maps)
    for report in reports(validator, *files):
        assert faults(report) == []
        assert report["info"]["totalTriangleCount"] > 0 and report["info"]["hasTextures"]


def test_khronos_validator_does_find_faults(tmp_path, validator):
    """Its control: a file with a tangent that is no longer of unit length."""
    mesh, maps = squares()
    path = tmp_path / "mesh.glb"
    write(path, mesh, maps)
    content = bytearray(path.read_bytes())
    tangents = Glb(bytes(content)).rows("TANGENT").tobytes()
    start = content.index(tangents)
    content[start : start + 4] = b"\0\0\0\x41"
    path.write_bytes(content)
    (report,) = reports(validator, path)
    assert any("ACCESSOR_VECTOR3_NON_UNIT" in fault or "UNIT" in fault for fault in faults(report))


@pytest.mark.parametrize("name", REAL)
def test_real_meshes_survive_the_trip(tmp_path, request, light, shared, name):
    """The author inside, the same picture after a reload, and no fault in Khronos' eyes."""
    made = prepare(load_scene(shared / name), size=256)
    path = tmp_path / "mesh.glb"
    maps = painted(256) if made.maps is None else made.maps
    export_glb(path, made.mesh, maps, attribution=made.attribution, provenance={})
    extras = Glb(path.read_bytes()).document["asset"]["extras"]
    assert extras.get("author", "") == made.attribution.author
    assert bool(extras.get("license")) == name.startswith("objaverse")
    assert pictures_agree(light, (made.mesh, maps), reloaded(path, 256)) > 40
    # Asked for last: where the validator cannot be had, the rest is checked before the skip.
    (report,) = reports(request.getfixturevalue("validator"), path)
    assert faults(report) == []
    assert report["info"]["totalTriangleCount"] == len(made.mesh.t_vertex_idx)
