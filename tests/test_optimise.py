"""The loop: convergence, learning rate, refusal of bad gradients, and resumption to the same bytes."""

from __future__ import annotations

import itertools

import pytest
import torch

from castex.checkpoint import discard
from castex.errors import NonFiniteGradient
from castex.optimise import Run, learning_rate, optimise
from castex.protocols import Guidance, Renderer
from castex.rng import generator
from castex.settings import OptimiseSettings
from castex.texture import ExplicitImage, NeuralImage, SkipNetwork


class Pull:
    """A guidance double: the gradient of 0.5 ||image - target||^2 plus a little noise."""

    def __init__(self, target, *, bad_step=None, dies_at=None):
        self.target, self.bad_step, self.dies_at, self.calls = target, bad_step, dies_at, 0

    def gradient(self, image, shot, *, progress, generator):
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        gradient = image - self.target + 0.01 * shot * torch.randn(image.shape, generator=generator)
        if self.calls == self.bad_step:
            gradient[0, 0, 0, 0] = float("nan")
        return gradient


def as_it_is(maps, shot):
    return maps


def job(kind, settings, guidance, seed=0):
    stream = generator(seed, "test", "initial")
    if kind == "explicit":
        texture = ExplicitImage(torch.rand(1, 3, 16, 16, generator=stream))
    else:
        texture = NeuralImage(SkipNetwork(4, 2, generator=stream), 16, generator=stream)
    return Run(
        stage="test",
        texture=texture,
        render=as_it_is,
        guidance=guidance,
        sample_shot=lambda shots: float(torch.rand((), generator=shots)),
        observe=lambda image: {"error": float((image - guidance.target).abs().max())},
        settings=settings,
        shots=generator(seed, "test", "shot"),
        noise=generator(seed, "test", "noise"),
    )


@pytest.fixture
def target(stream):
    return torch.rand(1, 3, 16, 16, generator=stream)


def test_descends_to_the_target(target, tmp_path):
    settings = OptimiseSettings(steps=200, learning_rate=0.05, final_fraction=1e-3)
    run = job("explicit", settings, Pull(target))
    assert optimise(run, checkpoints=tmp_path, fingerprint="f") == 0
    assert run.trace[-1][0] == 200 and run.trace[-1][1]["error"] < 0.01
    assert [step for step, _ in run.trace] == list(range(20, 201, 20))


def test_every_step_ends_in_the_valid_range(target, tmp_path):
    run = job("explicit", OptimiseSettings(steps=40, learning_rate=0.1), Pull(4 * target - 2))
    optimise(run, checkpoints=tmp_path, fingerprint="f")
    assert run.texture.maps().min() == 0 and run.texture.maps().max() == 1


def test_zero_learning_rate_is_the_identity(target, tmp_path):
    run = job("explicit", OptimiseSettings(steps=5, learning_rate=0), Pull(target))
    before = run.texture.maps().detach().clone()
    optimise(run, checkpoints=tmp_path, fingerprint="f")
    assert torch.equal(run.texture.maps(), before)


def test_learning_rate_is_constant_then_decays_to_its_fraction():
    settings = OptimiseSettings(steps=100, learning_rate=0.1, final_fraction=0.01)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[:50] == [0.1] * 50
    assert rates[99] == pytest.approx(0.001)
    assert all(a >= b for a, b in itertools.pairwise(rates))


@pytest.mark.parametrize("kind", ["explicit", "neural"])
@pytest.mark.parametrize("dies_at", [1, 5, 8, 23])
def test_interrupted_and_resumed_ends_with_the_same_bytes(kind, dies_at, target, tmp_path):
    settings = OptimiseSettings(steps=24, learning_rate=0.01, checkpoint_every=4, observe_every=3)
    straight = job(kind, settings, Pull(target))
    optimise(straight, checkpoints=tmp_path / "a", fingerprint="f")
    with pytest.raises(KeyboardInterrupt):
        optimise(
            job(kind, settings, Pull(target, dies_at=dies_at)), checkpoints=tmp_path / "b", fingerprint="f"
        )
    resumed = job(kind, settings, Pull(target))
    first = optimise(resumed, checkpoints=tmp_path / "b", fingerprint="f")
    assert first == (dies_at - 1) // 4 * 4
    for name, tensor in straight.texture.state_dict().items():
        assert torch.equal(tensor, resumed.texture.state_dict()[name]), name
    assert straight.trace == resumed.trace
    discard(tmp_path / "b")


def test_a_checkpoint_of_other_settings_is_not_continued(target, tmp_path):
    settings = OptimiseSettings(steps=8, learning_rate=0.01, checkpoint_every=4)
    optimise(job("explicit", settings, Pull(target)), checkpoints=tmp_path, fingerprint="one")
    assert optimise(job("explicit", settings, Pull(target)), checkpoints=tmp_path, fingerprint="two") == 0


def test_a_bad_gradient_raises_before_it_is_applied(target, tmp_path):
    settings = OptimiseSettings(steps=9, learning_rate=0.01)
    run = job("explicit", settings, Pull(target, bad_step=4))
    with pytest.raises(NonFiniteGradient, match="test gradient of step 3 holds NaN"):
        optimise(run, checkpoints=tmp_path, fingerprint="f")
    assert torch.isfinite(run.texture.maps()).all()


def test_doubles_meet_their_protocols(target):
    assert isinstance(Pull(target), Guidance)
    assert isinstance(as_it_is, Renderer)
