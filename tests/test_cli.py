"""The command line: outputs, one-sentence errors, interruption, resumption."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import imageio.v3 as iio
import numpy as np
import pytest
from safetensors.numpy import load_file

from castex.cli import VERBS, main
from castex.config import load_config
from castex.picture import read_picture, square

PAPER = load_config("paper")


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    iio.imwrite(tmp_path / "picture.png", pixels)
    return tmp_path / "picture.png"


def arguments(image, output, *more, space="pixel", parameterisation="explicit"):
    arm = ["--space", space, "--parameterisation", parameterisation, "--size", "32", "--steps", "20"]
    return ["reconstruct", "--image", str(image), "--output", str(output), *arm, *more]


def test_every_verb_explains_itself(capsys):
    for verb in VERBS:
        with pytest.raises(SystemExit) as exit_:
            main([verb, "--help"])
        assert exit_.value.code == 0
        text = capsys.readouterr().out
        assert f"castex {verb}" in text
        assert "--output" in text or verb in {"doctor", "explain", "inspect"}, "what is written has a name"
    with pytest.raises(SystemExit):
        main(["--help"])
    listing = capsys.readouterr().out
    assert all(verb in listing for verb in VERBS)


def test_pixel_arm_writes_its_files(image, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(image, output)) == 0
    assert sorted(p.name for p in output.iterdir()) == [
        "pictures.safetensors",
        "result.json",
        "target.png",
        "theta.png",
        "trace.csv",
    ]
    result = json.loads((output / "result.json").read_text())
    assert result["steps"] == 20 and result["seconds"] > 0 and "psnr_decoded" not in result
    assert result["settings"]["space"] == "pixel" and result["image"]["name"] == "picture.png"
    assert "/" not in json.dumps(result["image"]), "no path of this machine"
    pictures = load_file(output / "pictures.safetensors")
    target = square(read_picture(image), 32)
    np.testing.assert_array_equal(pictures["target"], target.numpy())
    mse = np.square(pictures["theta"].clip(0, 1) - pictures["target"], dtype=np.float64).mean()
    assert result["psnr_theta"] == pytest.approx(-10 * np.log10(mse), abs=1e-3)
    assert iio.imread(output / "theta.png").shape == (32, 32, 3)
    assert (output / "trace.csv").read_text().splitlines()[0] == "step,psnr_theta"
    assert re.search(r"step 20/20  100 %  ETA 00:00  psnr_theta", capsys.readouterr().err)


def test_latent_arm_adds_the_decoded_picture_and_the_ceiling(image, tmp_path, tiny_vae):
    output = tmp_path / "out"
    assert main(arguments(image, output, "--vae", str(tiny_vae), space="latent")) == 0
    result = json.loads((output / "result.json").read_text())
    assert {"psnr_theta", "psnr_decoded", "psnr_ceiling"} <= result.keys()
    assert result["code_values"] == 4 * 4 * 4 and result["vae"]["parameters"] > 1000
    assert {"decoded", "ceiling"} <= load_file(output / "pictures.safetensors").keys()
    assert (output / "decoded.png").is_file()


def test_same_command_same_bytes(image, tmp_path):
    for name in ("a", "b"):
        assert main(arguments(image, tmp_path / name)) == 0
    for name in ("theta.png", "pictures.safetensors", "trace.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--size", "8"], "size: Input should be greater than or equal to 16"),
        (["--steps", "0"], r"optimise\.steps: Input should be greater than or equal to 1 \(got '0'\)"),
        (["--parameterisation", "dip"], "use at least 64 pixels"),
        (["--scale", "huge"], "no scale 'huge'"),
        (["--image", "nowhere.png"], r"no picture at nowhere\.png"),
        (["--settings", "nowhere.json"], r"nowhere\.json cannot be read \(No such file"),
        (["--device", "cuda"], "torch finds no CUDA device here; use --device cpu"),
    ],
)
def test_bad_values_end_in_one_sentence(image, tmp_path, capsys, monkeypatch, change, sentence):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(arguments(image, tmp_path / "out", *change)) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"castex reconstruct: .*\n", error) and re.search(sentence, error)
    assert not (tmp_path / "out").exists()


def test_a_size_that_the_autoencoder_cannot_halve(image, tmp_path, capsys, tiny_vae):
    more = ["--vae", str(tiny_vae), "--size", "33"]
    assert main(arguments(image, tmp_path / "out", *more, space="latent")) == 2
    assert "size=33 is no multiple of 8, the stride of the autoencoder; use 32" in capsys.readouterr().err


def test_the_paper_scale_never_falls_back_to_the_mini_autoencoder(image, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("castex.config.checkout", lambda: tmp_path)
    monkeypatch.setattr("castex.config.load_config", lambda scale: PAPER)
    more = ["--scale", "paper", "--device", "cpu"]
    assert main(arguments(image, tmp_path / "out", *more, space="latent")) == 2
    error = capsys.readouterr().err
    assert "the autoencoder of scale 'paper' is not at" in error and "stabilityai--sd-vae-ft-mse" in error
    assert "fetch_all --configfile config/paper.yaml" in error


def test_space_or_settings_are_needed(image, tmp_path, capsys):
    assert main(["reconstruct", "--image", str(image), "--output", str(tmp_path)]) == 2
    assert "give --space and --parameterisation, or a --settings file" in capsys.readouterr().err


def test_unwritable_output(image, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(arguments(image, tmp_path / "file")) == 2
    assert re.search(r"cannot read or write .*file", capsys.readouterr().err)


def test_full_disk_is_one_sentence_and_loses_nothing(image, tmp_path):
    """A file-size limit stops the child's writes in the middle, as a full disk does."""
    output = tmp_path / "out"
    assert main(arguments(image, output)) == 0
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    command = [sys.executable, "-m", "castex.cli.reconstruct", *arguments(image, output, "--seed", "1")[1:]]
    limited = ["bash", "-c", 'ulimit -f 4; trap "" XFSZ; exec "$@"', "bash", *command]
    ended = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "the disk is full" in ended.stderr.splitlines()[-1]
    after = {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}
    assert after == before


KILLED = {
    "space": "pixel",
    "parameterisation": "explicit",
    "size": 64,
    "optimise": {"steps": 3000, "learning_rate": 0.01, "checkpoint_every": 50, "observe_every": 500},
}
SAME_BYTES = ("theta.png", "target.png", "pictures.safetensors", "trace.csv")


def kill_and_continue(image, folder, wait):
    """Run to the end; run again, SIGKILL when `wait(output, child)` returns, continue; compare the bytes."""
    (folder / "s.json").write_text(json.dumps(KILLED))

    def command(output):
        paths = ["--image", str(image), "--settings", str(folder / "s.json"), "--output", str(output)]
        return [sys.executable, "-m", "castex.cli.reconstruct", *paths]

    straight, killed = folder / "straight", folder / "killed"
    if not straight.exists():
        subprocess.run(command(straight), check=True, capture_output=True)
    shutil.rmtree(killed, ignore_errors=True)
    child = subprocess.Popen(command(killed), stderr=subprocess.DEVNULL)
    wait(killed, child)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    again = subprocess.run(command(killed), check=True, capture_output=True, text=True)
    assert not list(killed.glob(".*")), "neither checkpoints nor partial files stay"
    for name in SAME_BYTES:
        assert (straight / name).read_bytes() == (killed / name).read_bytes(), name
    return again.stderr


def test_killed_and_continued_ends_with_the_same_bytes(image, tmp_path):
    """SIGKILL some time after the second checkpoint; the same command resumes and says so."""

    def until_the_second_checkpoint(output, child):
        deadline = time.monotonic() + 60
        while not (output / ".checkpoints" / "slot1.json").exists():
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.01)

    assert re.search(r"resumed at step \d+", kill_and_continue(image, tmp_path, until_the_second_checkpoint))


@pytest.mark.long
def test_killed_at_random_times_ends_with_the_same_bytes(image, tmp_path):
    for seconds in np.random.default_rng(0).uniform(0, 10, size=20):
        kill_and_continue(image, tmp_path, lambda _, child, s=seconds: time.sleep(s))


def test_picture_verb_copies_and_bundles(image, tmp_path):
    assert main(["picture", "--source", str(image), "--output", str(tmp_path / "a.png")]) == 0
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.png"), iio.imread(image))
    assert main(["picture", "--source", "skimage:coffee", "--output", str(tmp_path / "b.png")]) == 0
    assert iio.imread(tmp_path / "b.png").shape == (400, 600, 3)


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_do_not_spin_unless_told_to(monkeypatch, image, tmp_path, given, kept):
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    assert main(["picture", "--source", str(image), "--output", str(tmp_path / "a.png")]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == kept


def test_heavy_libraries_are_not_imported_for_nothing():
    names = "print('torch' in sys.modules, 'diffusers' in sys.modules)"
    code = f"import sys, castex, castex.cli, castex.settings; {names}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
