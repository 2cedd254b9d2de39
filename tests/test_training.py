"""Training of the mini autoencoder: pictures, warm start, resumption, yardstick, shipping."""

from __future__ import annotations

import json

import pytest
import torch

from castex.cli import main
from castex.diffusion import load_codec
from castex.errors import InputError
from castex.picture import bundled_picture, square
from castex.score import psnr
from castex.settings import AutoencoderSettings, TrainVaeSettings
from castex.training.pictures import (
    HELD_OUT,
    PHOTOGRAPHS,
    PictureSource,
    dead_leaves,
    photograph,
    resized,
)
from castex.training.vae import Training, learning_rate_factor, new_autoencoder
from castex.training.warm_start import LEVEL, warm_start_
from castex.training.yardstick import compare, fit_block_code
from castex.weights import locate

TINY = TrainVaeSettings(
    autoencoder=AutoencoderSettings(block_out_channels=(8, 8, 16, 24), norm_num_groups=2),
    crop=16,
    batch=2,
    steps=6,
    procedural=1,
    checkpoint_every=2,
)


def source(settings=TINY):
    return PictureSource(
        crop=settings.crop,
        seed=settings.seed,
        procedural=settings.procedural,
        procedural_share=settings.procedural_share,
    )


def test_evaluation_photographs_are_never_training_pictures():
    assert not set(HELD_OUT) & set(PHOTOGRAPHS)
    for name in HELD_OUT:
        with pytest.raises(InputError, match="no training photograph"):
            photograph(name)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_training_photographs_are_bundled(name):
    picture = photograph(name)
    assert picture.shape[0] == 3 and picture.min() >= 0 and picture.max() <= 1


def test_batches_depend_on_seed_and_step_alone():
    one, two = source(), source()
    two.batch(5, 3)
    assert torch.equal(one.batch(1, 3), two.batch(1, 3))
    assert not torch.equal(one.batch(1, 3), one.batch(2, 3))
    batch = one.batch(0, 8)
    assert batch.shape == (8, 3, 16, 16) and batch.min() >= 0 and batch.max() <= 1


def test_dead_leaves_have_edges_and_range(stream):
    picture = dead_leaves(64, stream)
    assert picture.min() >= 0 and picture.max() <= 1 and picture.std() > 0.05


def test_resizing_never_enlarges():
    assert resized(torch.rand(3, 20, 30), 10).shape == (3, 10, 15)
    assert resized(torch.rand(3, 20, 30), 40).shape == (3, 20, 30)


def test_warm_start_already_shows_the_picture():
    """A fresh network returns flat grey, however long one looks at its picture."""
    picture = square(bundled_picture("coffee"), 64)

    def score(warm):
        torch.manual_seed(0)
        network = new_autoencoder(AutoencoderSettings()).eval()
        if warm:
            warm_start_(network)
        with torch.no_grad():
            decoded = network.decode(network.encode(2 * picture - 1).latent_dist.mean).sample
        return psnr((decoded + 1) / 2, picture)

    assert score(warm=True) > score(warm=False) + 2


def test_training_begins_with_the_warm_start():
    """Constant channels of the first convolution are its mark; the average begins with the same weights."""
    training = Training(TINY)
    bias = training.model.encoder.conv_in.bias
    assert {LEVEL, -LEVEL} <= set(bias.tolist())
    for kept, new in zip(training.average.parameters(), training.model.parameters(), strict=True):
        assert torch.equal(kept, new)


def test_learning_rate_warms_up_and_ends_at_zero():
    factors = [learning_rate_factor(step, 1000) for step in range(1000)]
    assert factors[0] == pytest.approx(0.05) and factors[19] == 1 and factors[-1] < 1e-4
    assert factors.index(max(factors)) == 19


def test_an_interrupted_training_ends_with_the_same_bytes(tmp_path):
    straight = Training(TINY)
    assert straight.run(source(), tmp_path / "a")

    # A clock that jumps past the budget after three steps ends the sitting, as a wall clock would.
    ticks = iter([0.0] * 7 + [1e9] * 100)
    first = Training(TINY)
    assert not first.run(source(), tmp_path / "b", clock=lambda: next(ticks))
    assert 0 < first.step < TINY.steps
    second = Training(TINY)
    assert second.resume(tmp_path / "b") and second.step == first.step
    assert second.run(source(), tmp_path / "b")
    for name, tensor in straight.average.state_dict().items():
        assert torch.equal(tensor, second.average.state_dict()[name]), name
    assert straight.losses == second.losses


def test_the_seed_does_not_leak_into_the_global_generator():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Training(TINY)
    assert torch.equal(torch.rand(1), expected)


def test_verbs_train_and_measure(tmp_path):
    (tmp_path / "s.json").write_text(TINY.model_dump_json())
    paths = ["--settings", str(tmp_path / "s.json"), "--checkpoints", str(tmp_path / "c")]
    assert main(["train_vae", *paths, "--output", str(tmp_path / "vae")]) == 0
    assert not (tmp_path / "c").exists(), "a finished training needs no checkpoints"
    codec = load_codec(tmp_path / "vae")
    assert codec.encode(torch.rand(1, 3, 16, 16)).shape == (1, 4, 2, 2)
    sheet, yardstick = tmp_path / "vae" / "samples.png", tmp_path / "vae" / "yardstick.json"
    measure = [
        "--vae",
        str(tmp_path / "vae"),
        "--size",
        "32",
        "--output",
        str(yardstick),
        "--sheet",
        str(sheet),
    ]
    assert main(["measure_vae", *measure]) == 0
    assert sheet.stat().st_size > 1000

    scores = json.loads(yardstick.read_text())
    assert scores["psnr_db"]["astronaut"]["margin"] < 1.5, "six steps do not beat the block code"
    assert scores["files"] == locate(tmp_path / "vae").files


def test_budget_ends_a_sitting_with_a_sentence(tmp_path, capsys):
    (tmp_path / "s.json").write_text(TINY.model_dump_json())
    paths = [
        "--settings",
        str(tmp_path / "s.json"),
        "--checkpoints",
        str(tmp_path / "c"),
        "--minutes",
        "1e-9",
    ]
    assert main(["train_vae", *paths, "--output", str(tmp_path / "vae")]) == 2
    assert "ended at step 1 of 6; run the same command again" in capsys.readouterr().err
    assert not (tmp_path / "vae").exists()


def test_block_code_is_the_best_linear_code(stream):
    """Exact with all components, and better than any other basis of the same size."""
    pictures = [torch.rand(1, 3, 32, 32, generator=stream) for _ in range(2)]
    whole = fit_block_code(pictures, 192)
    torch.testing.assert_close(whole.round_trip(pictures[0]), pictures[0], atol=1e-4, rtol=0)
    best = fit_block_code(pictures, 4)
    other = torch.linalg.qr(torch.randn(192, 4, generator=stream)).Q.T
    rival = type(best)(best.mean, other)
    assert psnr(best.round_trip(pictures[0]), pictures[0]) > psnr(rival.round_trip(pictures[0]), pictures[0])


def test_the_shipped_autoencoder_beats_the_block_code(root):
    """The yardstick, measured again here: 1.5 dB above the best linear code on the astronaut."""
    training = [square(photograph(name)[None], 128) for name in PHOTOGRAPHS]
    pictures = {name: square(bundled_picture(name), 128) for name in HELD_OUT}
    scores = compare(load_codec(root / "data/mini/sd"), fit_block_code(training, 4), pictures)
    assert scores["astronaut"]["block_code"] == pytest.approx(18.7, abs=0.4), "the control is itself"
    assert scores["astronaut"]["margin"] >= 1.5
    recorded = json.loads((root / "data/mini/sd/vae/yardstick.json").read_text())
    assert scores["astronaut"]["margin"] == pytest.approx(
        recorded["psnr_db"]["astronaut"]["margin"], abs=0.02
    )
