"""Score distillation as CasTex runs it: an annealed window of timesteps, a weight, a choice of noise.

With x the sample and x_t = sqrt(alpha_bar_t) x + sqrt(1 - alpha_bar_t) eps the noisy one, the gradient is
w(t) (x - x0_hat) / n for n views: that of 0.5 w(t) sum ||x - x0_hat||^2 / n with the predicted clean sample
x0_hat held fixed. Since x - x0_hat = sqrt(1 - alpha_bar) / sqrt(alpha_bar) (eps_hat - eps), the weight
`released`, sqrt(alpha_bar (1 - alpha_bar)), makes it (1 - alpha_bar) (eps_hat - eps) where no clamp acts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from castex.protocols import NO_CONDITION, Condition, Image, NoisePredictor, Sample
from castex.schedule import NoiseSchedule
from castex.settings.synthesis import DistilSettings, WindowSettings

NOISE = "noise"


def window(settings: WindowSettings, progress: float) -> tuple[int, int]:
    """Smallest timestep and the bound above the largest one at `progress` = step / steps in [0, 1]."""
    moved = {"sqrt": math.sqrt(progress), "linear": progress, "constant": 0.0}[settings.form]
    low = settings.lowest_first - (settings.lowest_first - settings.lowest_last) * moved
    high = settings.highest_first - (settings.highest_first - settings.highest_last) * moved
    return int(low), max(int(high), int(low) + 1)


@dataclass(frozen=True, slots=True)
class Distillation:
    """A predictor's opinion of a sample, as a gradient.

    `memory` holds the noise that is kept from step to step (`fixed` and `cached` alone); a loop that is to be
    resumed keeps it with its checkpoint.
    """

    predictor: NoisePredictor
    schedule: NoiseSchedule
    settings: DistilSettings
    memory: dict[str, Tensor] = field(default_factory=dict)

    def gradient(
        self, x: Sample, *, progress: float, generator: torch.Generator, condition: Condition = NO_CONDITION
    ) -> Sample:
        """The gradient with respect to `x` (pixels in [-1, 1] or codes): one timestep for the whole batch.

        The timestep is drawn first, then the noise; on the CPU, and moved.
        """
        low, high = window(self.settings.window, progress)
        timestep = int(torch.randint(low, high, (), generator=generator))
        return self.weighted(x, timestep, self._noise(x, generator), condition)

    def weighted(self, x: Sample, timestep: int, eps: Sample, condition: Condition = NO_CONDITION) -> Sample:
        """The gradient for a given timestep and noise; the predictor is asked without gradients."""
        x_t = self.schedule.noised(x, eps, timestep)
        with torch.no_grad():
            eps_hat = self.predictor(x_t, timestep, condition)
        x0_hat = self.schedule.clean(x_t, eps_hat, timestep)
        if self.settings.form == "x0-clamped":
            x0_hat = x0_hat.clamp(-1, 1)
        if self.settings.noise == "cached":
            # The noise that leads from the clamped picture to x_t, as in DDIM with a clamped prediction.
            self.memory[NOISE] = self.schedule.noise(x_t, x0_hat, timestep)
        residual = eps_hat - eps if self.settings.form == "eps" else x - x0_hat
        return self.weight(timestep) / len(x) * residual

    def weight(self, timestep: int) -> float:
        """w(t)."""
        signal, noise = self.schedule.coefficients(timestep)
        return {"released": signal * noise, "dreamfusion": noise**2, "constant": 1.0}[self.settings.weight]

    def _noise(self, x: Sample, generator: torch.Generator) -> Sample:
        kept = self.memory.get(NOISE)
        if kept is not None and kept.shape == x.shape:
            return kept.to(x)
        eps = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        if self.settings.noise != "fresh":
            self.memory[NOISE] = eps
        return eps


def carried_back(
    image: Image, encode: Callable[[Image], Sample], gradient_of: Callable[[Sample], Sample]
) -> Image:
    """A gradient in the predictor's space times d sample / d image: the gradient with respect to `image`."""
    leaf = image.detach().requires_grad_()
    with torch.enable_grad():
        sample = encode(leaf)
    (gradient,) = torch.autograd.grad(sample, leaf, gradient_of(sample.detach()))
    return gradient
