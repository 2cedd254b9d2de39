"""DDIM with our schedules and thresholds, against diffusers' own scheduler and pipeline."""

from __future__ import annotations

import pytest
import torch

from castex.errors import InputError
from castex.protocols import NO_CONDITION
from castex.rng import generator
from castex.sample import Sampler, timesteps
from castex.schedule import scaled_linear, squared_cosine
from castex.settings.models import ThresholdSettings

DYNAMIC = ThresholdSettings(kind="dynamic", ratio=0.95, largest=1.5)


def predictor(x_t, timestep, condition=NO_CONDITION):
    """A network of one line: a wrong but smooth opinion of the noise."""
    return torch.tanh(1.7 * x_t) + 0.3 * torch.sin(3 * x_t.roll(1, dims=-1) + timestep / 300)


def noise(*shape):
    return torch.randn(*shape, generator=generator(0, "noise", "test"))


@pytest.mark.parametrize("steps", [1, 7, 50, 1000])
def test_timesteps_are_the_leading_ones(steps):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing="leading")
    scheduler.set_timesteps(steps)
    assert timesteps(steps) == scheduler.timesteps.tolist()


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(steps):
    with pytest.raises(InputError, match=f"{steps} steps"):
        timesteps(steps)


@pytest.mark.parametrize(
    ("schedule", "beta_schedule", "threshold"),
    [
        (squared_cosine(), "squaredcos_cap_v2", DYNAMIC),
        (squared_cosine(), "squaredcos_cap_v2", ThresholdSettings(kind="clip")),
        (scaled_linear(), "scaled_linear", ThresholdSettings(kind="none")),
    ],
)
def test_agrees_with_the_scheduler_of_diffusers(schedule, beta_schedule, threshold):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_schedule=beta_schedule,
        beta_start=0.00085,
        beta_end=0.012,
        timestep_spacing="leading",
        clip_sample=threshold.kind == "clip",
        thresholding=threshold.kind == "dynamic",
        dynamic_thresholding_ratio=threshold.ratio,
        sample_max_value=threshold.largest,
    )
    scheduler.set_timesteps(12)
    x = theirs = noise(2, 3, 8, 8)
    for t in scheduler.timesteps:
        eps_hat = predictor(theirs, int(t))
        theirs = scheduler.step(eps_hat, t, theirs, use_clipped_model_output=True).prev_sample
    ours = Sampler(predictor, schedule, timesteps(12), threshold)(x)
    assert (ours - theirs).abs().max() < 2e-4
    if threshold.kind != "none":
        assert ours.abs().max() <= 1


def test_a_point_mass_is_found_in_one_step_and_in_many():
    """The exact score of one picture leads to that picture, whatever the steps."""
    schedule, target = squared_cosine(), 0.5 * torch.sin(torch.arange(48.0)).reshape(1, 3, 4, 4)

    def exact(x_t, timestep, condition=NO_CONDITION):
        return schedule.noise(x_t, target.expand_as(x_t), timestep)

    for steps in (3, 9):
        found = Sampler(exact, schedule, timesteps(steps))(noise(2, 3, 4, 4))
        assert (found - target).abs().max() < 1e-4
