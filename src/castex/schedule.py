"""Noise schedules: the cumulative signal power alpha_bar of a discrete diffusion process.

Two schedules are written out here, because importing diffusers for three lines of arithmetic costs four
seconds a process; a test compares them with diffusers' own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from castex.errors import InputError
from castex.protocols import Sample


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, for t = 0 .. len(alpha_bar) - 1."""

    alpha_bar: Float[Tensor, " timesteps"]

    def coefficients(self, timestep: int) -> tuple[float, float]:
        """(sqrt(alpha_bar_t), sqrt(1 - alpha_bar_t)), computed in float64; InputError outside the process."""
        if not 0 <= timestep < len(self.alpha_bar):
            raise InputError(
                f"timestep {timestep} of a process with timesteps 0 to {len(self.alpha_bar) - 1}"
            )
        alpha_bar = float(self.alpha_bar[timestep])
        return math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)

    def noised(self, x: Sample, eps: Sample, timestep: int) -> Sample:
        """x_t of a clean sample and standard normal noise."""
        signal, noise = self.coefficients(timestep)
        return signal * x + noise * eps

    def clean(self, x_t: Sample, eps_hat: Sample, timestep: int) -> Sample:
        """x0_hat of a predicted noise: (x_t - sqrt(1 - alpha_bar) eps_hat) / sqrt(alpha_bar)."""
        signal, noise = self.coefficients(timestep)
        return (x_t - noise * eps_hat) / signal

    def noise(self, x_t: Sample, x0_hat: Sample, timestep: int) -> Sample:
        """eps_hat of a predicted clean sample: the inverse of `clean`."""
        signal, noise = self.coefficients(timestep)
        return (x_t - signal * x0_hat) / noise

    def noise_of_velocity(self, x_t: Sample, v_hat: Sample, timestep: int) -> Sample:
        """eps_hat of a predicted velocity v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0."""
        signal, noise = self.coefficients(timestep)
        return signal * v_hat + noise * x_t


def squared_cosine(timesteps: int = 1000) -> NoiseSchedule:
    """DeepFloyd IF's schedule: alpha_bar(s) = cos^2((s + 0.008) / 1.008 * pi / 2), betas capped at 0.999."""
    s = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    f = torch.cos((s + 0.008) / 1.008 * math.pi / 2).square()
    return _from_betas((1 - f[1:] / f[:-1]).clamp(max=0.999))


def scaled_linear(timesteps: int = 1000, first: float = 0.00085, last: float = 0.012) -> NoiseSchedule:
    """Stable Diffusion's schedule: square roots of the betas are linear from `first` to `last`."""
    roots = torch.linspace(first**0.5, last**0.5, timesteps, dtype=torch.float64)
    return _from_betas(roots.square())


def _from_betas(betas: Float[Tensor, " timesteps"]) -> NoiseSchedule:
    return NoiseSchedule(torch.cumprod(1 - betas, dim=0))
