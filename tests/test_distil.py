"""Score distillation: the equations of the loss forms, the window, the noise, and closed-form scores."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, interpolate

from castex.analytic import ConditionalGaussianPredictor, GaussianPredictor, PointMassPredictor
from castex.distil import Distillation, carried_back, window
from castex.errors import InputError
from castex.protocols import Condition, NoisePredictor
from castex.schedule import squared_cosine
from castex.settings.synthesis import DistilSettings, WindowSettings

SCHEDULE = squared_cosine()


def bent(x_t, timestep, condition=None):
    """A predictor that is neither linear nor right, and treats every sample by itself."""
    return torch.tanh(1.3 * x_t + timestep / 1000) + x_t.mean(dim=(1, 2, 3), keepdim=True)


def distillation(predictor=bent, **changes):
    return Distillation(predictor, SCHEDULE, DistilSettings(**changes))


def test_the_window_shrinks_with_the_root_of_the_progress():
    """paper.md 1.4: start - (start - end) sqrt(step / steps)."""
    paper = WindowSettings()
    assert window(paper, 0.0) == (300, 980)
    assert window(paper, 0.25) == (250, 740)
    assert window(paper, 1.0) == (200, 500)
    assert window(paper.model_copy(update={"form": "linear"}), 0.25) == (275, 860)
    assert window(paper.model_copy(update={"form": "constant"}), 0.9) == (300, 980)


def test_timesteps_fill_the_window_of_the_progress():
    seen = []

    def predictor(x_t, timestep, condition):
        seen.append(timestep)
        return x_t

    narrow = WindowSettings(highest_first=310, highest_last=210)
    stream, x = torch.Generator().manual_seed(0), torch.zeros(3, 3, 2, 2)
    for progress, low in ((0.0, 300), (1.0, 200)):
        seen.clear()
        for _ in range(200):
            distillation(predictor, window=narrow).gradient(x, progress=progress, generator=stream)
        assert set(seen) == set(range(low, low + 10)), "one call, so one timestep, per batch"


@given(timestep=st.integers(5, 990), seed=st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_unclamped_with_the_released_weight_is_the_classic_gradient(timestep, seed):
    """sqrt(alpha_bar (1 - alpha_bar)) (x - x0_hat) = (1 - alpha_bar) (eps_hat - eps)."""
    stream = torch.Generator().manual_seed(seed)
    x, eps = torch.randn(2, 2, 3, 4, 4, generator=stream, dtype=torch.float64).unbind()
    x0 = distillation(form="x0", weight="released").weighted(x, timestep, eps)
    classic = distillation(form="eps", weight="dreamfusion").weighted(x, timestep, eps)
    signal, noise = SCHEDULE.coefficients(timestep)
    x_t = signal * x + noise * eps
    # Cancellation in x - x0_hat grows with 1 / signal.
    tolerance = 1e-12 / signal**2
    torch.testing.assert_close(classic, noise**2 * (bent(x_t, timestep) - eps) / 2, atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(x0, classic, atol=tolerance, rtol=1e-6)


def test_the_clamp_bounds_the_pull_and_is_absent_where_nothing_leaves_the_range(stream):
    far = PointMassPredictor(torch.full((1, 3, 4, 4), 5.0), SCHEDULE)
    x, eps = torch.zeros(1, 3, 4, 4), torch.randn(1, 3, 4, 4, generator=stream)
    for form, pull in (("x0", -5.0), ("x0-clamped", -1.0)):
        gradient = distillation(far, form=form, weight="constant").weighted(x, 400, eps)
        torch.testing.assert_close(gradient, torch.full_like(x, pull), atol=1e-4, rtol=0)
    near = dataclasses.replace(far, target=torch.full((1, 3, 4, 4), 0.5))
    clamped, free = (distillation(near, form=form).weighted(x, 400, eps) for form in ("x0-clamped", "x0"))
    assert torch.equal(clamped, free)


@pytest.mark.parametrize("form", ["x0-clamped", "x0", "eps"])
@pytest.mark.parametrize("weight", ["released", "dreamfusion", "constant"])
def test_a_batch_of_n_is_n_batches_of_one(form, weight, stream):
    """The mean over views: each view of a batch has 1/n of the gradient that it has alone."""
    x, eps = torch.randn(2, 4, 3, 8, 8, generator=stream).unbind()
    one = distillation(form=form, weight=weight)
    together = one.weighted(x, 300, eps)
    for k in range(4):
        alone = one.weighted(x[k : k + 1], 300, eps[k : k + 1])
        torch.testing.assert_close(4 * together[k : k + 1], alone, atol=1e-6, rtol=1e-5)


def test_weights_are_what_they_are_called():
    signal, noise = SCHEDULE.coefficients(500)
    for name, value in (("released", signal * noise), ("dreamfusion", noise * noise), ("constant", 1.0)):
        assert distillation(weight=name).weight(500) == pytest.approx(value)


def test_fresh_fixed_and_cached_noise(stream):
    seen = []

    def predictor(x_t, timestep, condition):
        noise = SCHEDULE.coefficients(timestep)[1]
        seen.append((x_t / noise).clone())
        return 0.5 * x_t

    def noises(kind, memory=None):
        seen.clear()
        source = Distillation(predictor, SCHEDULE, DistilSettings(noise=kind, form="x0"), memory or {})
        generator = torch.Generator().manual_seed(3)
        for _ in range(3):
            source.gradient(torch.zeros(2, 3, 4, 4), progress=0.5, generator=generator)
        return list(seen), source.memory

    fresh, memory = noises("fresh")
    assert not memory and all(not torch.equal(fresh[0], other) for other in fresh[1:])
    fixed, memory = noises("fixed")
    torch.testing.assert_close(fixed[1], fixed[0])
    torch.testing.assert_close(fixed[2], memory["noise"])
    cached, memory = noises("cached")
    # Unclamped, the noise that leads from x0_hat to x_t is the prediction: half of x_t, so half of the noise.
    assert cached[1].std() < 0.7 * cached[0].std() and cached[2].std() < 0.7 * cached[1].std()
    assert not torch.equal(memory["noise"], cached[2])


def test_the_cached_noise_leads_from_the_clamped_picture(stream):
    """As a clamped DDIM step has it: x_t = sqrt(alpha_bar) clamp(x0_hat) + sqrt(1 - alpha_bar) noise."""
    source = distillation(PointMassPredictor(torch.full((1, 3, 2, 2), 3.0), SCHEDULE), noise="cached")
    x, eps = torch.zeros(1, 3, 2, 2), torch.randn(1, 3, 2, 2, generator=stream)
    source.weighted(x, 600, eps)
    noised = SCHEDULE.noised(torch.ones_like(x), source.memory["noise"], 600)
    torch.testing.assert_close(noised, SCHEDULE.noised(x, eps, 600), atol=1e-5, rtol=0)


@pytest.mark.parametrize("deviation", [0.0, 0.3, 1.0])
def test_the_expected_gradient_of_a_normal_distribution(deviation, stream):
    """E over eps: w(t) (1 - alpha_bar) / (alpha_bar s^2 + 1 - alpha_bar) (x - mean).

    The predictor is linear, so the mean of +eps and -eps is the expectation, exactly.
    """
    mean, x = torch.rand(2, 1, 3, 4, 4, generator=stream, dtype=torch.float64).unbind()
    eps = torch.randn(x.shape, generator=stream, dtype=torch.float64)
    source = distillation(GaussianPredictor(mean, deviation, SCHEDULE), form="x0")
    for timestep in (50, 400, 900):
        average = (source.weighted(x, timestep, eps) + source.weighted(x, timestep, -eps)) / 2
        signal, noise = SCHEDULE.coefficients(timestep)
        share = noise**2 / (signal**2 * deviation**2 + noise**2)
        torch.testing.assert_close(average, source.weight(timestep) * share * (x - mean))


@pytest.mark.parametrize("deviation", [0.0, 0.5])
def test_descent_ends_at_the_mean(deviation, stream):
    target = torch.rand(1, 3, 4, 4, generator=stream)
    source = distillation(GaussianPredictor(target, deviation, SCHEDULE), weight="constant", form="x0")
    x = torch.zeros_like(target)
    tail = []
    for step in range(400):
        x = x - 0.1 * source.gradient(x, progress=step / 400, generator=stream)
        tail.append(x)
    error = (torch.stack(tail[200:]).mean(0) - target).abs().max()
    assert error < (1e-4 if deviation == 0 else 0.15)


def test_carried_back_is_the_transpose(stream):
    image = torch.rand(1, 3, 8, 8, generator=stream)
    gradient = torch.rand(1, 3, 4, 4, generator=stream)
    back = carried_back(image, lambda leaf: 2 * avg_pool2d(leaf, 2) - 1, lambda sample: gradient)
    torch.testing.assert_close(back, interpolate(gradient, scale_factor=2) / 2)
    assert not image.requires_grad


UP = ConditionalGaussianPredictor(
    mean=0.2, low_deviation=0.4, high_deviation=0.3, factor=2, schedule=SCHEDULE, noising=SCHEDULE
)


def test_the_conditional_score_is_the_posterior_of_the_joint_distribution(stream):
    """By dense linear algebra: E[eps | x_t, condition] on pictures of 4 x 4 pixels."""
    level, timestep, pixels = 300, 600, 16
    block = torch.zeros(pixels, pixels, dtype=torch.float64)
    for k, basis in enumerate(torch.eye(pixels, dtype=torch.float64)):
        block[:, k] = interpolate(avg_pool2d(basis.view(1, 1, 4, 4), 2), scale_factor=2).flatten()
    eye = torch.eye(pixels, dtype=torch.float64)
    # A block mean with deviation s is a field s^2 factor^2 (block) in pixel covariance.
    prior = 4 * UP.low_deviation**2 * block + UP.high_deviation**2 * (eye - block)
    signal, noise = SCHEDULE.coefficients(timestep)
    shown, blur = SCHEDULE.coefficients(level)
    seen = torch.cat([signal * eye, shown * block])
    spread = torch.block_diag(noise**2 * eye, blur**2 * eye)
    joint = seen @ prior @ seen.T + spread
    with_noise = torch.cat([noise * eye, torch.zeros_like(eye)])
    x_t, picture = torch.randn(2, 1, 3, 4, 4, generator=stream, dtype=torch.float64).unbind()
    for channel in range(3):
        observed = torch.cat([x_t[0, channel].flatten(), picture[0, channel].flatten()])
        middle = seen @ torch.full((pixels,), UP.mean, dtype=torch.float64)
        expected = with_noise.T @ torch.linalg.solve(joint, observed - middle)
        eps_hat = UP(x_t, timestep, Condition(low_resolution=picture, noise_level=level))[0, channel]
        torch.testing.assert_close(eps_hat.flatten(), expected, atol=1e-9, rtol=1e-6)


def test_anchored_and_unanchored_descent_end_where_the_theory_says():
    """Frozen condition: w y + (1 - w) mean. The current picture as condition: the mean itself."""
    level, start = 300, torch.full((1, 3, 4, 4), -0.5, dtype=torch.float64)
    trust = UP.trust(level)
    assert 0.05 < trust < 0.95
    shown, _ = SCHEDULE.coefficients(level)
    source = distillation(UP, form="x0", weight="constant")

    def settled(frozen):
        x = start
        for _ in range(300):
            low = shown * avg_and_back(start if frozen else x)
            condition = Condition(low_resolution=low, noise_level=level)
            # Without noise: the expectation of every linear step.
            x = x - 0.5 * source.weighted(x, 700, torch.zeros_like(x), condition)
        return float(x.mean())

    assert settled(frozen=True) == pytest.approx(trust * -0.5 + (1 - trust) * UP.mean, abs=1e-3)
    assert settled(frozen=False) == pytest.approx(UP.mean, abs=1e-3)


def avg_and_back(x):
    return interpolate(avg_pool2d(x, 2), scale_factor=2)


def test_a_conditional_score_needs_its_condition():
    with pytest.raises(InputError, match="low-resolution"):
        UP(torch.zeros(1, 3, 4, 4), 10)
    assert isinstance(UP, NoisePredictor)
    assert math.isclose(UP.trust(0), 1, abs_tol=1e-2)
