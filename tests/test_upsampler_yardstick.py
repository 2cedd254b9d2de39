"""The yardstick of stage II: what it measures, its control, and a verdict that can be FAIL."""

import json

import pytest
import torch
import torch.nn.functional as F
from test_corpus import MESHES

from castex.errors import InputError
from castex.settings.shot import ShotSettings
from castex.settings.training import CorpusSettings
from castex.training.captions import UNTEXTURED, held_out
from castex.training.corpus_data import read_corpus
from castex.training.corpus_run import CorpusJob, make_corpus
from castex.training.upsampler_yardstick import MARGIN_DB, Enlarged, chosen, compared


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held-out")
    settings = CorpusSettings(
        size=64, atlas=32, shots=1, light_side=32, materials=["striped"], shot=ShotSettings(views=2)
    )
    make_corpus(CorpusJob(settings, (MESHES / "mug.glb",), True, "cpu", folder))
    return folder


def result(ours_noise, control_noise):
    stream = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 16, 16, generator=stream)

    def off(by):
        return (target + by * torch.randn(target.shape, generator=stream)).clamp(0, 1)

    return {"seen": Enlarged(target, off(0.1), off(ours_noise), off(control_noise)), "held_out": Enlarged(
        target, off(0.1), off(0.1), off(0.1))}  # fmt: skip


def test_the_verdict_needs_the_margin_and_a_control_that_is_worse():
    good = compared(result(0.05, 0.3))
    assert good["passed"] and good["psnr_db"]["seen"]["margin"] > MARGIN_DB
    assert good["psnr_db"]["seen"]["bicubic"] == pytest.approx(20, abs=1.5)
    assert not compared(result(0.09, 0.3))["passed"], "a margin of 1 dB is none"
    assert not compared(result(0.05, 0.05))["passed"], "a condition that does not matter"
    assert abs(good["psnr_db"]["held_out"]["margin"]) < 1


def test_pictures_are_chosen_by_variant(pictures):
    found = read_corpus(pictures, "both")
    for variant in ("seen", "held_out"):
        index = chosen(found, variant, 4)
        assert len(set(index)) == 4
        for k in index:
            facts = found.facts_of(k)
            assert facts.material != UNTEXTURED
            assert held_out(facts.material, facts.colour) == (variant == "held_out")


def test_a_corpus_without_held_out_pairs_is_refused(tmp_path):
    settings = CorpusSettings(
        size=32, atlas=32, shots=1, lights=1, light_side=32, materials=["plain"], shot=ShotSettings(views=1)
    )
    make_corpus(CorpusJob(settings, (MESHES / "bowl.glb",), False, "cpu", tmp_path))
    with pytest.raises(InputError, match="1 pictures are too few"):
        chosen(read_corpus(tmp_path, "both"), "seen", 1)
    with pytest.raises(InputError, match="no held_out pictures"):
        chosen(read_corpus(tmp_path, "both"), "held_out", 4)


def test_an_untrained_model_fails(pictures, tiny_models, tmp_path):
    from castex.cli import main

    command = ["measure_upsampler", "--model", str(tiny_models / "if_ii"), "--pictures", str(pictures)]
    files = ["--output", str(tmp_path / "y.json"), "--sheet", str(tmp_path / "s.png")]
    assert main([*command, "--count", "2", "--base", "16", *files]) == 0
    found = json.loads((tmp_path / "y.json").read_text())
    assert not found["passed"]
    assert found["pictures"] == {"held_out": 2, "seen": 2, "seen_as_distilled": 2}
    # The bicubic figure is that of the pictures themselves.
    shown = read_corpus(pictures, "both")
    target = shown.layers["image"][chosen(shown, "seen", 2)].float() / 255
    low = F.interpolate(target, (16, 16), mode="bilinear", antialias=True)
    bicubic = F.interpolate(low, 64, mode="bicubic").clamp(0, 1)
    errors = (bicubic - target).double().square().mean((1, 2, 3))
    assert found["psnr_db"]["seen"]["bicubic"] == pytest.approx(
        float((-10 * errors.log10()).mean()), abs=1e-3
    )
    assert (tmp_path / "s.png").stat().st_size > 1000
