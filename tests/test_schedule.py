"""The noise schedules against diffusers' own."""

from __future__ import annotations

import pytest
import torch

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
