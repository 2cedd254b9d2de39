"""`castex export`: files, what it prints, one-sentence errors, nothing half written."""

from __future__ import annotations

import numpy as np
import pytest
from exported import AUTHOR, Glb, painted, quad, sphere
from PIL import Image as Pillow

from castex.cli import export
from castex.cli._entry import entry
from castex.export import credit, export_glb, export_obj
from castex.maps_png import read_maps_png, write_maps_png

MAPS = ["albedo.png", "atlas.json", "metallic.png", "normal.png", "roughness.png"]


@pytest.fixture
def lamp(tmp_path):
    """A textured GLB with an author, its name not fit for OBJ."""
    path = tmp_path / "brass lamp.glb"
    export_glb(path, sphere(8, 12), painted(64), attribution=AUTHOR, provenance={})
    return path


def run(mesh, output, *more):
    return entry(export, "export", [str(mesh), "--output", str(output), *map(str, more)])


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_glb_with_its_own_materials(lamp, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(lamp, output, "--size", 64) == 0
    assert listing(output) == ["brass_lamp.glb", *(f"maps/{name}" for name in MAPS)]
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed[:-1]) == sorted(str(output / name) for name in listing(output))
    assert printed[-1] == credit(AUTHOR)
    before, after = Glb(lamp.read_bytes()), Glb((output / "brass_lamp.glb").read_bytes())
    inside = slice(14, 50)
    for kind in ("baseColor", "metallicRoughness", "normal"):
        was, is_ = (glb.picture(kind)[inside, inside].astype(int) for glb in (before, after))
        assert np.abs(was - is_).max() <= 1, kind
    assert after.document["asset"]["extras"]["author"] == "cowc2"
    assert set(after.document["asset"]["extras"]["castex"]) == {"version", "mesh_sha256", "settings"}


def test_maps_replace_the_materials_and_come_back(lamp, tmp_path, capsys):
    maps = painted(32)
    write_maps_png(tmp_path / "maps", maps)
    output = tmp_path / "out"
    assert run(lamp, output, "--maps", tmp_path / "maps", "--format", "both") == 0
    files = [f"brass_lamp.{suffix}" for suffix in ("glb", "mtl", "obj")]
    assert listing(output) == [*files, *(f"maps/{name}" for name in MAPS)]
    given, written = read_maps_png(tmp_path / "maps"), read_maps_png(output / "maps")
    inside = slice(7, 25)  # at the poles the atlas has gaps between triangles
    for name in ("albedo", "roughness", "metallic", "normal"):
        assert (getattr(given, name) - getattr(written, name))[inside, inside].abs().max() < 1e-6, name
    first = Glb((output / "brass_lamp.glb").read_bytes())
    assert "maps_sha256" in first.document["asset"]["extras"]["castex"]
    edited = (output / "maps" / "albedo.png").read_bytes()
    assert run(lamp, output, "--maps", output / "maps") == 0
    assert (output / "maps" / "albedo.png").read_bytes() == edited
    assert Glb((output / "brass_lamp.glb").read_bytes()).view(5) == first.view(5)
    (tmp_path / "maps" / "normal.png").unlink()
    capsys.readouterr()
    assert run(lamp, output, "--maps", tmp_path / "maps") == 0
    assert "has no normal: the grey start is used" in capsys.readouterr().err


def test_a_mesh_without_materials_is_grey(tmp_path, capsys):
    export_obj(tmp_path, quad(), painted(16), attribution=AUTHOR, stem="plain")
    lines = (tmp_path / "plain.obj").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("mtllib", "usemtl", "vt", "f"))]
    (tmp_path / "plain.obj").write_text("".join(kept) + "f 1 2 3\nf 1 3 4\n")
    assert run(tmp_path / "plain.obj", tmp_path / "out", "--size", 32, "--format", "obj") == 0
    said = capsys.readouterr()
    assert "has no materials: its maps are grey" in said.err
    assert "names no author" in said.out
    with Pillow.open(tmp_path / "out" / "maps" / "roughness.png") as picture:
        assert set(np.unique(picture)) == {128}
    assert "plain.glb" not in listing(tmp_path / "out")


def test_bad_input_gives_one_sentence_and_writes_nothing(lamp, tmp_path, capsys):
    write_maps_png(tmp_path / "maps", painted(32))
    (tmp_path / "broken.glb").write_bytes(lamp.read_bytes()[:500])
    cases = [
        ((tmp_path / "absent.glb",), "absent.glb"),
        ((tmp_path / "broken.glb",), "broken.glb"),
        ((lamp, "--size", 0), "size=0 texels"),
        ((lamp, "--front", "sideways", "--size", 32), "sideways"),
        ((lamp, "--maps", tmp_path), "no albedo.png"),
        ((lamp, "--maps", tmp_path / "maps", "--size", 64), "have 32 texels, not 64"),
    ]
    for (mesh, *more), sentence in cases:
        assert run(mesh, tmp_path / "out", *more) == 2
        said = capsys.readouterr().err
        assert said.startswith("castex export: ") and said.count("\n") == 1 and sentence in said
    assert not (tmp_path / "out").exists()


def test_the_mesh_itself_is_never_overwritten(lamp, tmp_path, capsys):
    same = lamp.rename(tmp_path / "lamp.glb")
    before = same.read_bytes()
    assert run(same, tmp_path, "--size", 32) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert same.read_bytes() == before and listing(tmp_path) == ["lamp.glb"]


@pytest.fixture
def bare(tmp_path):
    """A mesh without texture coordinates: its atlas depends on how it is made."""
    import trimesh

    path = tmp_path / "ball.ply"
    trimesh.creation.icosphere(subdivisions=2).export(path)
    return path


def test_maps_only_fit_the_atlas_that_they_were_made_for(bare, tmp_path, capsys):
    made = tmp_path / "made"
    assert run(bare, made, "--size", 64) == 0
    assert run(bare, tmp_path / "again", "--maps", made / "maps") == 0, "the size is that of the maps"
    assert run(made / "ball.glb", tmp_path / "kept", "--maps", made / "maps") == 0, "the GLB holds the atlas"
    big = tmp_path / "big"
    write_maps_png(big, painted(128))
    (big / "atlas.json").write_bytes((made / "maps" / "atlas.json").read_bytes())
    capsys.readouterr()
    assert run(bare, tmp_path / "no", "--maps", big) == 2
    assert "were made for another atlas" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_a_prepared_folder_is_exported_on_its_own_atlas(bare, tmp_path):
    from castex.cli import main

    prepared = tmp_path / "prepared"
    common = ["--rewrap", "--size", "64", "--up=+z", "--front=-y"]
    assert main(["prepare", str(bare), "--output", str(prepared), *common]) == 0
    assert run(prepared, tmp_path / "out", "--size", 32) == 0
    assert listing(tmp_path / "out") == [*(f"maps/{name}" for name in MAPS), "prepared.glb"]
    assert run(prepared, tmp_path / "worn", "--maps", tmp_path / "out" / "maps") == 0
    assert run(bare, tmp_path / "same", "--rewrap", "--up=+z", "--front=-y", "--size", 64) == 0


def test_missing_maps_are_written_beside_painted_ones(lamp, tmp_path):
    output = tmp_path / "out"
    assert run(lamp, output, "--size", 32) == 0
    for name in ("roughness", "metallic", "normal"):
        (output / "maps" / f"{name}.png").unlink()
    painted_albedo = (output / "maps" / "albedo.png").read_bytes()
    assert run(lamp, output, "--maps", output / "maps", "--format", "obj") == 0
    assert (output / "maps" / "albedo.png").read_bytes() == painted_albedo
    assert set(MAPS) == {path.name for path in (output / "maps").iterdir()}


def test_huge_maps_are_refused_before_they_are_decoded(lamp, tmp_path, capsys):
    folder = tmp_path / "maps"
    folder.mkdir()
    Pillow.new("L", (9000, 9000)).save(folder / "albedo.png")
    assert run(lamp, tmp_path / "out", "--maps", folder) == 2
    assert "9000 x 9000" in capsys.readouterr().err
