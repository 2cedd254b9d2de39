"""The toy experiment end to end, small: what pixel space recovers and latent space cannot."""

from __future__ import annotations

import shutil

import pytest
import torch
from test_guidance import LinearCodec

from castex.config import load_config
from castex.errors import InputError
from castex.reconstruct import reconstruct
from castex.settings import DipSettings, OptimiseSettings, ReconstructSettings

FAST = OptimiseSettings(steps=150, learning_rate=0.05, final_fraction=1e-5, observe_every=50)


def arm(space, parameterisation, **changes):
    base = {"optimise": FAST, "size": 16, "dip": DipSettings(width=8, scales=2)}
    return ReconstructSettings(**(base | {"space": space, "parameterisation": parameterisation} | changes))


@pytest.fixture
def target(stream):
    smooth = torch.rand(1, 3, 4, 4, generator=stream)
    return torch.nn.functional.interpolate(smooth, 16, mode="bilinear").mul(255).round() / 255


def test_pixel_space_recovers_an_explicit_picture_to_rounding(target, tmp_path):
    """Claim (a) of Figure 2, with the default optimiser settings of the mini scale."""
    settings = arm("pixel", "explicit", optimise=load_config().reconstruct["pixel-explicit"].optimise)
    result = reconstruct(target, settings, None, seed=0, checkpoints=tmp_path)
    assert result.trace[-1][1]["psnr_theta"] >= 120 and result.decoded is None


def test_latent_space_matches_the_code_and_not_the_picture(target, stream, tmp_path):
    """Claim (b): the code is matched, the encoder's null space keeps the noise of the start."""
    codec = LinearCodec(stream)
    result = reconstruct(target, arm("latent", "explicit"), codec, seed=0, checkpoints=tmp_path)
    code_error = (codec.encode(result.theta) - codec.encode(target)).abs().max()
    assert code_error < 0.05
    assert (result.theta - target).abs().max() > 0.3


def test_the_start_decides_what_latent_space_ends_with(target, stream, tmp_path):
    """Ill-posed: two starts, two pictures, one code."""
    codec = LinearCodec(stream)
    ends = [
        reconstruct(
            target, arm("latent", "explicit", initial=start), codec, seed=0, checkpoints=tmp_path / start
        )
        for start in ("grey", "uniform")
    ]
    one, two = (end.theta for end in ends)
    assert (codec.encode(one) - codec.encode(two)).abs().max() < 0.1
    assert (one - two).abs().mean() > 0.1


def test_dip_improves_with_steps(target, tmp_path):
    result = reconstruct(target, arm("pixel", "dip"), None, seed=0, checkpoints=tmp_path)
    scores = [seen["psnr_theta"] for _, seen in result.trace]
    assert scores[-1] > scores[0] and scores[-1] > 20


def test_seeds_decide_everything(target, tmp_path):
    def theta(seed, folder):
        return reconstruct(target, arm("pixel", "dip"), None, seed=seed, checkpoints=tmp_path / folder).theta

    torch.manual_seed(1)
    one = theta(0, "a")
    torch.manual_seed(2)
    assert torch.equal(one, theta(0, "b"))
    assert not torch.equal(one, theta(1, "c"))


@pytest.mark.parametrize("initial,spread", [("gaussian", 0.36), ("uniform", 0.289), ("grey", 0.0)])
def test_starts(target, tmp_path, initial, spread):
    still = OptimiseSettings(steps=1, learning_rate=0)
    settings = arm("pixel", "explicit", initial=initial, optimise=still, size=64)
    big = torch.nn.functional.interpolate(target, 64)
    theta = reconstruct(big, settings, None, seed=0, checkpoints=tmp_path).theta
    assert theta.std() == pytest.approx(spread, abs=0.01) and theta.mean() == pytest.approx(0.5, abs=0.01)


def test_a_checkpoint_is_continued_by_its_own_run_alone(target, stream, tmp_path):
    """Same folder: another picture, seed, setting or autoencoder must begin anew."""
    codec, other = LinearCodec(stream), LinearCodec(stream)
    other.identity = "another"
    often = FAST.model_copy(update={"steps": 20, "checkpoint_every": 5})
    settings = arm("latent", "explicit", optimise=often)

    def first_step(picture=target, settings=settings, codec=codec, seed=0):
        shutil.copytree(tmp_path / "left", tmp_path / "again", dirs_exist_ok=True)
        return reconstruct(picture, settings, codec, seed=seed, checkpoints=tmp_path / "again").first_step

    reconstruct(target, settings, codec, seed=0, checkpoints=tmp_path / "left")
    assert first_step() == 15
    assert first_step(picture=1 - target) == 0
    assert first_step(seed=1) == 0
    assert first_step(codec=other) == 0
    assert first_step(settings=settings.model_copy(update={"decoder_pull": 0.1})) == 0


def test_space_and_codec_must_agree(target, stream, tmp_path):
    with pytest.raises(InputError, match="needs an autoencoder"):
        reconstruct(target, arm("latent", "explicit"), None, seed=0, checkpoints=tmp_path)
    with pytest.raises(InputError, match="needs no autoencoder"):
        reconstruct(target, arm("pixel", "explicit"), LinearCodec(stream), seed=0, checkpoints=tmp_path)
