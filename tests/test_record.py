"""How a texture was made: `castex explain` tells it, `castex reproduce` makes it again, byte for byte."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from castex.cli import _texture, main
from castex.errors import InputError
from castex.record import Record, changed_versions, differing, read_record


@pytest.fixture(scope="module")
def made(tiny_models, root, tmp_path_factory):
    """A vase textured in both stages, and the options that name its models."""
    folder = tmp_path_factory.mktemp("made")
    models = ["--base-model", str(tiny_models / "if_m"), "--upsampler", str(tiny_models / "if_ii")]
    models += ["--cache", str(folder / "cache")]
    with pytest.MonkeyPatch.context() as patch:
        _small(patch)
        vase = str(shutil.copy(root / "data" / "mini" / "meshes" / "vase.glb", folder))
        few = ["--steps", "3", "2", "--size", "32", "--seed", "4", "--light", "studio", "--intensity", "0.5"]
        few += ["--front=-x", "--rewrap"]
        assert main(["texture", vase, "a red vase", *models, *few, "--output", str(folder / "out")]) == 0
    return folder, models


def _small(patch):
    patch.setattr(_texture, "FRAMES", 2)
    patch.setattr(_texture, "FRAME_SIZE", 32)
    patch.setattr(_texture, "GENERATED_SIDE", 32)
    patch.setattr("castex.synthesise.SHEET_SIZE", 32)


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch, tmp_path):
    _small(monkeypatch)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_glb_says_how_it_was_made(made, capsys):
    folder, _ = made
    glb = folder / "out" / "textured.glb"
    assert read_record(glb) == read_record(folder / "out" / "provenance.json")
    assert main(["explain", str(glb)]) == 0
    said = capsys.readouterr().out
    for words in (
        "a red vase", "CC0-1.0", "castex-xl-l at the mini scale, seed 4", "studio, intensity 0.5",
        "3 steps of Adam", "2 steps of Adam", "condition anchored, 32 px", f"torch {torch.__version__}",
        f"castex reproduce {glb}",
    ):  # fmt: skip
        assert words in said, words
    assert main(["explain", str(glb), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["seed"] == 4 and set(record["stages"]) == {"base", "upsampler"}


def test_the_mesh_left_beside_the_glb_gives_the_same_bytes(made, tmp_path, capsys):
    folder, models = made
    assert main(["reproduce", str(folder / "out" / "textured.glb"), *models]) == 0
    said = capsys.readouterr().out
    assert "upsampler: the same maps" in said and "the same file, byte for byte" in said
    ours, again = (path / "textured.glb" for path in (folder / "out", tmp_path / "out_again"))
    assert ours.read_bytes() == again.read_bytes()


def test_a_glb_alone_needs_the_mesh_that_it_was_made_from(made, tmp_path, capsys):
    folder, models = made
    alone = str(shutil.copy(folder / "out" / "textured.glb", tmp_path / "alone.glb"))
    place = ["--output", str(tmp_path / "again")]
    assert main(["reproduce", alone, *models, *place]) == 2
    assert "give the mesh that it was made from with --mesh" in capsys.readouterr().err
    assert main(["reproduce", alone, "--mesh", alone, *models, *place]) == 2
    assert "is not the mesh of the record" in capsys.readouterr().err
    assert main(["reproduce", alone, "--mesh", str(folder / "vase.glb"), *models, *place]) == 0
    assert "the same file, byte for byte" in capsys.readouterr().out
    assert (
        main(["reproduce", alone, "--mesh", str(folder / "vase.glb"), *models, "--output", str(tmp_path)])
        == 2
    )
    assert "choose another --output" in capsys.readouterr().err


def test_other_models_and_panoramas_are_refused(made, tiny_models, tmp_path, capsys):
    folder, models = made
    glb = str(folder / "out" / "textured.glb")
    other = [str(tiny_models / "if_ii") if word.endswith("if_m") else word for word in models]
    assert main(["reproduce", glb, *other]) == 2
    said = capsys.readouterr().err
    assert "the model of stage base" in said and "--base-model" in said
    (tmp_path / "other.hdr").write_bytes(b"#?RADIANCE")
    assert main(["reproduce", glb, *models, "--hdri", str(tmp_path / "other.hdr")]) == 2
    assert "leave out --hdri" in capsys.readouterr().err
    assert not (tmp_path / "out_again").exists()


def test_maps_that_differ_are_said(made, tmp_path, capsys):
    """A record that was altered: the run it describes gives other maps than those it names."""
    folder, models = made
    record = json.loads((folder / "out" / "provenance.json").read_text())
    record["seed"], record["versions"]["torch"] = 5, "1.0.0"
    (tmp_path / "made").mkdir()
    shutil.copytree(folder / "out" / "stages", tmp_path / "made" / "stages")
    altered = tmp_path / "made" / "provenance.json"
    altered.write_text(json.dumps(record))
    assert main(["reproduce", str(altered), *models]) == 2
    found = capsys.readouterr()
    assert "base: other maps" in found.out and "torch 1.0.0, here" in found.err
    assert "the maps of base and upsampler differ" in found.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.pop("stages"), "does not say how it was made"),
        (lambda r: r.update(stages=5), "does not say how it was made"),
        (lambda r: r.update(scale="../../secret"), "scale"),
        (lambda r: r.update(threads=10**9), "threads"),
        (lambda r: r["mesh"].update(sha256="no hash"), "sha256"),
        (lambda r: r["stages"]["base"]["settings"].update(colour="red"), "colour"),
        (lambda r: r["stages"]["base"]["settings"]["adam"].update(steps="many"), "steps"),
    ],
)
def test_records_are_checked(change, words, made, tmp_path):
    record = json.loads((made[0] / "out" / "provenance.json").read_text())
    change(record)
    (tmp_path / "p.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=words):
        read_record(tmp_path / "p.json")


def test_files_without_a_record_are_refused(made, tmp_path, root):
    for path, words in (
        (root / "data" / "mini" / "meshes" / "vase.glb", "does not say how it was made"),
        (tmp_path / "none.glb", "there is no file"),
        (tmp_path, "there is no file"),
    ):
        with pytest.raises(InputError, match=words):
            read_record(path)
    (tmp_path / "cut.glb").write_bytes((made[0] / "out" / "textured.glb").read_bytes()[:300])
    with pytest.raises(InputError, match="truncated"):
        read_record(tmp_path / "cut.glb")


def test_what_differs_is_named(made):
    record = read_record(made[0] / "out" / "textured.glb")
    base = record.stages["base"]
    other = record.model_copy(update={"stages": {"base": base.model_copy(update={"maps_sha256": "0" * 64})}})
    assert differing(record, record) == [] and differing(record, other) == ["base", "upsampler"]
    assert isinstance(other, Record)
    now = dict(record.versions) | {"torch": "9.9"}
    assert changed_versions(record, now) == [f"torch {torch.__version__}, here 9.9"]


def test_nothing_of_a_record_is_obeyed_by_the_terminal(made, tmp_path, capsys):
    record = json.loads((made[0] / "out" / "provenance.json").read_text())
    record["prompt"] = "a red\x1b]0;title\x07 vase\nagain      harm"
    record["mesh"]["attribution"]["author"] = "somebody\x1b[2J"
    path = tmp_path / "my file.json"
    path.write_text(json.dumps(record))
    assert main(["explain", str(path)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\x07" not in said and "vase?again" in said
    assert f"castex reproduce '{path}'" in said
    path.write_text(json.dumps(record).replace("a red", "\\ud800"))
    assert main(["explain", str(path)]) == 0
    path.write_text("[" * 10**5)
    assert main(["explain", str(path)]) == 2


def test_a_finished_folder_is_not_compared_without_being_made(made, tmp_path, capsys):
    folder, models = made
    glb = str(folder / "out" / "textured.glb")
    copy = shutil.copytree(folder / "out", tmp_path / "copy")
    assert main(["reproduce", glb, *models, "--output", str(copy)]) == 2
    assert "holds an earlier result" in capsys.readouterr().err
    # Stages that other versions finished do not count either.
    (copy / "provenance.json").unlink()
    result = copy / "stages" / "base" / "result.json"
    record = json.loads(result.read_text())
    record["versions"]["torch"] = "1.0.0"
    result.write_text(json.dumps(record))
    assert main(["reproduce", glb, *models, "--output", str(copy)]) == 2
    assert "holds an earlier result" in capsys.readouterr().err


def test_other_beginnings_are_named_before_anything_runs(made, tmp_path, capsys):
    folder, models = made
    (tmp_path / "made").mkdir()
    shutil.copytree(folder / "out" / "stages", tmp_path / "made" / "stages")
    record = json.loads((folder / "out" / "provenance.json").read_text())
    record["stages"]["base"]["identity"]["light_sha256"] = "0" * 64
    record["stages"]["base"]["identity"]["embeddings"] = "others"
    altered = tmp_path / "made" / "provenance.json"
    altered.write_text(json.dumps(record))
    assert main(["reproduce", str(altered), *models]) == 2
    assert "than the record names: the light, the embedded prompt" in capsys.readouterr().err
    assert not list(tmp_path.glob("made_again/stages/*/maps.safetensors"))
