"""The yardsticks of the latent mini models: what they measure, and their verbs from end to end."""

from __future__ import annotations

import json

import pytest
import torch
from latent_parts import CONTROLNET, SD, write_corpus

from castex.cli import main
from castex.protocols import Condition
from castex.schedule import scaled_linear
from castex.training.controlnet import ControlnetRecipe
from castex.training.corpus_data import read_corpus
from castex.training.denoiser import Noising
from castex.training.latent import LatentRecipe
from castex.training.latent_codes import encode_corpus, read_codes
from castex.training.latent_file import load_latent
from castex.training.latent_yardstick import (
    CPU,
    TIMESTEPS,
    another,
    depth_verdict,
    noise_errors,
    outline_of,
    outline_overlaps,
    part_of,
    shown,
    text_verdict,
)
from castex.training.sitting import write_model
from castex.training.trainer import Trainer
from castex.weights import locate


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_vae):
    """corpus/, and untrained sd/ and controlnet/."""
    folder = tmp_path_factory.mktemp("yardstick")
    write_corpus(folder / "corpus", pictures=16)
    encode_corpus(read_corpus(folder / "corpus", "models"), locate(tiny_vae), folder / "codes")
    codes = read_codes(folder / "codes")
    recipe = LatentRecipe(SD, codes)
    averages = Trainer(recipe, SD, data="x").averages
    write_model(folder / "sd", lambda path: recipe.export(averages, locate(tiny_vae), path))
    depths = read_corpus(folder / "corpus", "models", layers=("depth",))
    control = ControlnetRecipe(CONTROLNET, codes, depths, load_latent(folder / "sd"))
    networks = Trainer(control, CONTROLNET, data="x").averages
    write_model(folder / "controlnet", lambda path: control.export(networks, path))
    return folder


def test_prompts_are_what_a_user_would_say(home):
    pictures = read_corpus(home / "corpus", "both", layers=("image", "depth"))
    held = shown(pictures, [0, 1])
    colours = [pictures.facts_of(k).colour for k in (0, 1)]
    assert held.texts == [f"{_article(c)} {c} plain object, front view" for c in colours]
    assert held.images.shape == held.depths.shape == (2, 3, 32, 32)


def _article(word):
    return "an" if word[0] in "aeiou" else "a"


def test_the_control_belongs_to_another_render():
    values = torch.arange(5)
    assert not bool((another(values) == values).any())


def test_a_predictor_that_knows_the_codes_makes_no_error(stream):
    """And one that says nothing makes the error that the weights alone give."""
    schedule, codes = scaled_linear(), torch.randn(24, 4, 2, 2, generator=stream)

    def knows(x_t, timestep, condition):
        return schedule.noise(x_t, codes[: len(x_t)] * condition.text[0, 0, 0], timestep)

    def silent(x_t, timestep, condition):
        return torch.zeros_like(x_t)

    text, noising = torch.ones(1, 1, 1), Noising(schedule, CPU)
    found = noise_errors(
        {
            "right": (knows, Condition(text=text)),
            "wrong": (knows, Condition(text=-text)),
            "none": (silent, Condition()),
        },
        codes[:16],
        noising,
    )
    assert found["right"] < 1e-9 < found["wrong"]
    assert found["none"] == pytest.approx(float(noising.weight[list(TIMESTEPS)].mean()), rel=0.1)


def test_conditions_are_cut_like_their_samples():
    rows = torch.tensor([1, 2])
    whole = Condition(text=torch.arange(3.0).view(3, 1, 1), depth=torch.rand(3, 3, 8, 8))
    part = part_of(whole, rows)
    assert part.text is not None and part.text.flatten().tolist() == [1, 2]
    assert part.depth is not None and torch.equal(part.depth, whole.depth[rows])
    assert part_of(Condition(text=torch.ones(1, 2, 2)), rows).text.shape == (1, 2, 2)


def test_outlines_of_flat_discs_are_found_whole(home):
    held = shown(read_corpus(home / "corpus", "both", layers=("image", "depth")), list(range(16)))
    apart = (outline_of(held.images) == (held.depths[:, 0] > 0)).float().mean((1, 2))
    assert (apart == 1).float().mean() >= 0.8, "but for discs of nearly the colour of their ground"
    found = outline_overlaps(held.images, held)
    assert found["right"] == found["render"] > found["shuffled"] + 0.4


def test_verdicts():
    good = {"right": 0.1, "shuffled": 0.2, "empty": 0.15}
    assert text_verdict({"seen": good})["passed"]
    assert not text_verdict({"seen": good, "held_out": good | {"right": 0.16}})["passed"]
    errors, overlaps = {"right": 0.1, "shuffled": 0.2, "without": 0.15}, {"right": 0.8, "shuffled": 0.5}
    assert depth_verdict(errors, overlaps)["passed"]
    assert not depth_verdict(errors, overlaps | {"shuffled": 0.7})["passed"]
    assert not depth_verdict(errors | {"right": 0.16}, overlaps)["passed"]


def test_the_verbs_measure_untrained_models(home, tmp_path, tiny_vae):
    """Nothing passes that was not trained; every number is there, and every sheet."""
    held = ["--held-out", str(home / "corpus"), "--count", "8"]

    def told(name):
        return ["--output", str(tmp_path / f"{name}.json"), "--sheet", str(tmp_path / f"{name}.png")]

    vae = ["--vae", str(tiny_vae), "--start", str(tiny_vae), "--corpus", str(home / "corpus"), "--size", "32"]
    assert main(["measure_sd_vae", *vae, *held, *told("vae")]) == 0
    assert main(["measure_latent", "--model", str(home / "sd"), *held, *told("sd")]) == 0
    control = ["--model", str(home / "controlnet"), "--sd", str(home / "sd"), "--drawn", "8"]
    assert main(["measure_controlnet", *control, *held, *told("controlnet")]) == 0
    found = {
        name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("vae", "sd", "controlnet")
    }
    assert not any(one["passed"] for one in found.values())
    scores = found["vae"]["psnr_db"]
    assert set(scores) == {"astronaut", "coffee", "chelsea", "seen", "held_out"}
    assert found["vae"]["start_psnr_db"]["seen"] == scores["seen"]["autoencoder"]
    errors = found["controlnet"]["noise_error"]
    assert errors["right"] == pytest.approx(errors["without"], rel=1e-3), "it adds nothing yet"
    assert set(found["sd"]["noise_error"]) == {"seen", "held_out"}
    assert found["sd"]["files"] == locate(home / "sd").files
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in found)
