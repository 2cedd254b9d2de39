"""`castex texture` and `castex synthesise`, end to end with tiny models; what people type wrongly."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from surfaces import constant_light, sphere

from castex.cli import _texture, main
from castex.config import load_config
from castex.files import sha256, write_json
from castex.light import write_light
from castex.maps_file import read_maps
from castex.mesh import write_mesh


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setattr(_texture, "FRAMES", 3)
    monkeypatch.setattr(_texture, "FRAME_SIZE", 48)
    monkeypatch.setattr(_texture, "GENERATED_SIDE", 32)
    monkeypatch.setattr("castex.synthesise.SHEET_SIZE", 32)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("lights")


@pytest.fixture
def vase(root):
    return root / "data" / "mini" / "meshes" / "vase.glb"


@pytest.fixture
def typed(tiny_models, cache, vase, tmp_path):
    """`castex texture vase.glb PROMPT` with tiny models and few steps; returns its exit code."""

    def call(prompt="a red vase", *more, mesh=None, output="out"):
        models = ["--base-model", str(tiny_models / "if_m"), "--upsampler", str(tiny_models / "if_ii")]
        few = ["--steps", "4", "2", "--size", "32", "--cache", str(cache)]
        place = ["--output", str(tmp_path / output)]
        return main(["texture", str(mesh or vase), prompt, *models, *few, *place, *more])

    return call


def listed(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_a_mesh_and_a_prompt_give_a_textured_glb(typed, tmp_path, capsys, vase):
    assert typed() == 0
    files = listed(tmp_path / "out")
    for name in ("textured.glb", "preview.png", "turntable.gif", "provenance.json"):
        assert files[name].stat().st_size > 100, name
    for name in ("albedo", "roughness", "metallic", "normal"):
        assert f"maps/{name}.png" in files
    assert not [name for name in files if ".checkpoints" in name or ".partial" in name]
    said = capsys.readouterr().out
    assert "textured.glb" in said and "CC0-1.0" in said
    provenance = json.loads(files["provenance.json"].read_text())
    assert (provenance["prompt"], provenance["seed"], provenance["scale"]) == ("a red vase", 0, "mini")
    assert provenance["mesh"]["sha256"] == sha256(vase)
    assert provenance["mesh"]["attribution"]["licence"] == "CC0-1.0"
    assert set(provenance["stages"]) == {"base", "upsampler"}
    assert provenance["versions"]["torch"] == torch.__version__
    text = files["provenance.json"].read_text()
    assert os.uname().nodename not in text and str(tmp_path) not in text and "seconds" not in text
    # Both stages moved the maps, and the second began with the first's.
    base, final = (read_maps(files[f"stages/{stage}/maps.safetensors"]) for stage in ("base", "upsampler"))
    assert (base.albedo - 0.5).abs().max() > 0.01 and not torch.equal(base.albedo, final.albedo)
    identity = provenance["stages"]["upsampler"]["identity"]
    assert identity["base_sha256"] == sha256(files["stages/base/maps.safetensors"])
    # The same command again: nothing is computed anew, and every byte stays.
    before = {name: path.read_bytes() for name, path in files.items()}
    assert typed() == 0
    assert capsys.readouterr().err.count("done before") == 2
    assert {name: path.read_bytes() for name, path in listed(tmp_path / "out").items()} == before
    # Elsewhere and with another seed: the same bytes, and others.
    assert typed(output="again") == 0 and typed("a red vase", "--seed", "1", output="other") == 0
    glb = [(tmp_path / name / "textured.glb").read_bytes() for name in ("out", "again", "other")]
    assert glb[0] == glb[1] != glb[2]


def test_one_stage_alone_and_the_meshs_own_maps(typed, tmp_path, capsys):
    assert typed("a vase", "--method", "castex-xl", "--steps", "2", "--initial", "random") == 0
    assert set(json.loads((tmp_path / "out/provenance.json").read_text())["stages"]) == {"base"}
    assert typed("a vase", "--method", "castex-m", "--steps", "2", "2") == 2
    assert "--steps has 2 numbers; castex-m has 1 stages" in capsys.readouterr().err
    assert typed("a vase", "--method", "castex-m", "--steps", "1", "--initial", "given") == 0
    assert (tmp_path / "out/stages/start.safetensors").is_file(), "the vase says what it is made of"
    plain = tmp_path / "plain.obj"
    plain.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n")
    more = ("--method", "castex-m", "--steps", "1")
    assert typed("a vase", *more, "--initial", "given", mesh=plain) == 2
    assert "has no materials to begin with" in capsys.readouterr().err
    assert typed("a vase", *more, mesh=plain) == 0


@pytest.mark.parametrize(
    "prompt", ["../../../etc/passwd", "$(touch HARM); `touch HARM` && touch HARM", "; rm -rf *", "花瓶 🏺"]
)
def test_prompts_are_text_and_nothing_else(prompt, typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert typed(prompt, "--method", "castex-m", "--steps", "1") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert json.loads((tmp_path / "out/provenance.json").read_text())["prompt"] == prompt


def test_a_long_prompt_is_cut_with_a_word_about_it(typed, capsys):
    assert typed("a red vase " * 182, "--method", "castex-m", "--steps", "1") == 0
    said = capsys.readouterr().err
    assert "tokens of 'a red vase a red vase" in said and "the text encoder reads 77" in said
    assert "view words are lost" in said and len(max(said.splitlines(), key=len)) < 300


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--steps", "0"], "base.adam.steps: Input should be greater than or equal to 1"),
        (["--size", "7"], "base.texture.size"),
        (["--intensity", "-1"], "--intensity is -1"),
        (["--light", "moon"], "moon"),
        (["--base-model", "/nowhere"], "there is no model folder at /nowhere"),
        (["--text-model", "/nowhere"], "there is no model folder at /nowhere"),
    ],
)
def test_wrong_options_are_one_sentence(more, message, typed, capsys):
    assert typed("a vase", *more) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("castex texture: ") and message in error


@pytest.mark.parametrize("prompt", ["", "  "])
def test_an_empty_prompt_costs_nothing(prompt, typed, tmp_path, capsys):
    assert typed(prompt) == 2
    assert "the prompt is empty" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_models_that_are_not_there_are_named(tmp_path, vase, monkeypatch, capsys):
    monkeypatch.setattr("castex.cli._texture_models._folder", lambda scale, name: tmp_path / "mini" / name)
    assert main(["texture", str(vase), "a vase", "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"the model if_xl of scale 'mini' is not at {tmp_path / 'mini/if_xl'}" in error
    assert "--base-model FOLDER" in error and error.count("\n") == 1


def test_a_missing_mesh_and_one_that_nobody_sees(typed, tmp_path, capsys):
    assert typed(mesh=tmp_path / "none.glb") == 2
    assert "none.glb" in capsys.readouterr().err
    line = tmp_path / "line.obj"
    line.write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    assert typed(mesh=line) == 2
    assert capsys.readouterr().err.startswith("castex texture: ")


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(typed, tmp_path, capsys):
    """A file-size limit below the size of the maps (256 x 256 x 8 x 4 bytes) stops the base stage."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    command = ("a vase", "--method", "castex-m", "--steps", "2", "--size", "256")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        code = typed(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert code == 2 and "the disk is full" in capsys.readouterr().err
    assert not [name for name in listed(tmp_path / "out") if "maps" in name or "partial" in name]
    assert typed(*command) == 0 and (tmp_path / "out/textured.glb").is_file()


@pytest.fixture
def stage_files(tiny_models, tmp_path):
    """The inputs of `castex synthesise`, as the rules make them."""
    settings = load_config().variants["castex-m"].stage.model_dump(mode="json")
    settings["adam"] |= {"steps": 16, "checkpoint_every": 2, "snapshots": [3]}
    settings["texture"] |= {"size": 32}
    settings["render_size"] = 48
    write_json(tmp_path / "stage.json", settings)
    write_mesh(tmp_path / "mesh.safetensors", sphere(12, 12))
    write_light(tmp_path / "light.safetensors", constant_light())
    embed = ["--prompt", "a red vase", "--output", str(tmp_path / "e.safetensors")]
    assert main(["embed", "--model", str(tiny_models / "if_m"), *embed]) == 0
    named = {
        "settings": "stage.json",
        "mesh": "mesh.safetensors",
        "light": "light.safetensors",
        "embeddings": "e.safetensors",
    }
    options = [word for name, file in named.items() for word in (f"--{name}", str(tmp_path / file))]
    options += ["--model", str(tiny_models / "if_m"), "--prompt", "a red vase", "--asset", "ball"]
    return options


def test_the_verb_is_killed_resumes_and_says_so(stage_files, tmp_path):
    """SIGKILL after the second checkpoint of the real command: the same bytes as without."""

    def command(output):
        return [sys.executable, "-m", "castex.cli.synthesise", *stage_files, "--output", str(output)]

    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert main(["synthesise", *stage_files, "--output", str(straight)]) == 0
    child = subprocess.Popen(command(killed), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / ".checkpoints" / "slot1.json").exists():
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.01)
    child.kill()
    child.wait()
    again = subprocess.run(command(killed), check=True, capture_output=True, text=True)
    assert "base: resumed at step" in again.stderr
    assert sorted(path.name for path in killed.iterdir()) == [
        "maps.safetensors",
        "preview.png",
        "result.json",
        "snapshots",
        "trace.csv",
    ]
    for name in ("maps.safetensors", "snapshots/step_000003.safetensors", "trace.csv"):
        assert (straight / name).read_bytes() == (killed / name).read_bytes(), name
    results = [json.loads((folder / "result.json").read_text()) for folder in (straight, killed)]
    assert results[0]["fingerprint"] == results[1]["fingerprint"]
    assert results[0]["resumed_at"] == 0 < results[1]["resumed_at"]
    assert results[0]["identity"]["mesh_sha256"] == sha256(tmp_path / "mesh.safetensors")
    rows = (straight / "trace.csv").read_text().splitlines()
    assert rows[0] == "step,gradient_norm,learning_rate" and len(rows) == 3


def test_inputs_that_do_not_belong_together_are_refused(stage_files, tiny_models, tmp_path, capsys):
    def code(*more):
        return main(["synthesise", *stage_files, "--output", str(tmp_path / "o"), *more])

    assert code("--prompt", "a blue vase") == 2
    assert "'a blue vase, " in capsys.readouterr().err
    assert code("--model", str(tiny_models / "if_ii")) == 2
    assert "in_channels=6 where 3 is needed" in capsys.readouterr().err
    assert code("--base", str(tmp_path / "mesh.safetensors")) == 2
    assert "four maps" in capsys.readouterr().err
    lock = tmp_path / "lock.json"
    write_json(lock, {"folder": str(tiny_models / "sd"), "files": {"text_encoder/config.json": "0"}})
    assert code("--text-model", str(lock)) == 2
    assert "another text encoder" in capsys.readouterr().err
    shutil.copy(tmp_path / "mesh.safetensors", tmp_path / "stage.json")
    assert code() == 2
    assert not (tmp_path / "o" / "result.json").exists()
