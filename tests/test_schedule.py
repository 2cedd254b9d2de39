"""The noise schedules against diffusers' own."""

from __future__ import annotations

import pytest
import torch

from castex.errors import InputError
from castex.schedule import scaled_linear, squared_cosine


def test_squared_cosine_is_deepfloyds():
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
    torch.testing.assert_close(squared_cosine().alpha_bar, theirs, rtol=1e-4, atol=1e-7)


def test_scaled_linear_is_stable_diffusions():
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    torch.testing.assert_close(
        scaled_linear().alpha_bar, scheduler.alphas_cumprod.double(), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("schedule", [squared_cosine(), scaled_linear()], ids=["cosine", "linear"])
def test_signal_falls_and_power_is_one(schedule):
    assert (schedule.alpha_bar.diff() < 0).all()
    for timestep in (0, 500, 999):
        signal, noise = schedule.coefficients(timestep)
        assert signal**2 + noise**2 == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("timestep", [0, 20, 500, 980, 999])
@pytest.mark.parametrize("schedule", [squared_cosine(), scaled_linear()], ids=["cosine", "linear"])
def test_the_forms_of_a_prediction_agree(schedule, timestep, stream):
    """x_t -> x_0 -> eps, eps -> x_0 and v -> eps, with v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0."""
    x, eps = torch.randn(2, 1, 3, 4, 4, generator=stream, dtype=torch.float64).unbind()
    signal, noise = schedule.coefficients(timestep)
    x_t = schedule.noised(x, eps, timestep)
    torch.testing.assert_close(schedule.clean(x_t, eps, timestep), x, atol=1e-9, rtol=0)
    torch.testing.assert_close(schedule.noise(x_t, x, timestep), eps, atol=1e-9, rtol=0)
    velocity = signal * eps - noise * x
    torch.testing.assert_close(schedule.noise_of_velocity(x_t, velocity, timestep), eps, atol=1e-12, rtol=0)


def test_noising_is_diffusers(stream):
    from diffusers import DDPMScheduler

    x, eps = torch.randn(2, 1, 3, 4, 4, generator=stream).unbind()
    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").add_noise(x, eps, torch.tensor([250]))
    torch.testing.assert_close(squared_cosine().noised(x, eps, 250), theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("timestep", [-1, 1000, 5000])
def test_no_timestep_outside_the_process(timestep):
    with pytest.raises(InputError, match=f"timestep {timestep} of a process with timesteps 0 to 999"):
        squared_cosine().coefficients(timestep)
