"""Scores in closed form: distributions whose optimal noise predictor needs no network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from castex.errors import InputError
from castex.protocols import NO_CONDITION, Condition, Sample
from castex.schedule import NoiseSchedule


@dataclass(frozen=True, slots=True)
class PointMassPredictor:
    """The optimal predictor of a distribution with one picture x*, Eq. 3 of the paper:

    eps_hat(x_t, t) = (x_t - sqrt(alpha_bar_t) x*) / sqrt(1 - alpha_bar_t).
    """

    target: Sample
    schedule: NoiseSchedule

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """Predicted noise for any batch that broadcasts against the target, whatever the condition."""
        signal, noise = self.schedule.coefficients(timestep)
        return (x_t - signal * self.target) / noise


@dataclass(frozen=True, slots=True)
class GaussianPredictor:
    """The optimal predictor of a normal distribution with one deviation: x_0 ~ N(mean, deviation^2).

    x_t ~ N(sqrt(alpha_bar) mean, alpha_bar deviation^2 + 1 - alpha_bar), and
    eps_hat = sqrt(1 - alpha_bar) (x_t - sqrt(alpha_bar) mean) / (alpha_bar deviation^2 + 1 - alpha_bar).
    """

    mean: Sample
    deviation: float
    schedule: NoiseSchedule

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """Predicted noise for any batch that broadcasts against the mean, whatever the condition."""
        signal, noise = self.schedule.coefficients(timestep)
        return noise * (x_t - signal * self.mean) / (signal**2 * self.deviation**2 + noise**2)


@dataclass(frozen=True, slots=True)
class ConditionalGaussianPredictor:
    """The optimal predictor of an upsampler whose pictures are normal: Figure 3 in closed form.

    A picture is its means over blocks of `factor` x `factor` pixels, ~ N(mean, low_deviation^2) each, plus
    what is left of it, white with `high_deviation`. The condition is the enlarged picture of the means, with
    noise of `noise_level` on every pixel, so that each block mean is seen with the variance
    v = (1 - alpha_bar) / (alpha_bar factor^2); the posterior mean is w seen + (1 - w) mean with
    w = low_deviation^2 / (low_deviation^2 + v).
    """

    mean: float
    low_deviation: float
    high_deviation: float
    factor: int
    schedule: NoiseSchedule
    noising: NoiseSchedule
    """Of the noise on the condition."""

    def trust(self, level: int) -> float:
        """w at a noise level: how far the condition is believed.

        Distillation with the frozen condition y settles at w y + (1 - w) mean; with the current picture as
        its own condition each step loses the factor w, and it settles at `mean`.
        """
        signal, noise = self.noising.coefficients(level)
        seen = noise**2 / (signal**2 * self.factor**2)
        return self.low_deviation**2 / (self.low_deviation**2 + seen)

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """Predicted noise; sides must be multiples of `factor`. InputError without a condition."""
        picture, level = condition.low_resolution, condition.noise_level
        if picture is None or level is None:
            raise InputError("an upsampler needs a low-resolution picture")
        signal, noise = self.schedule.coefficients(timestep)
        trust, area = self.trust(level), self.factor**2
        seen = avg_pool2d(picture, self.factor) / self.noising.coefficients(level)[0]
        expected = trust * seen + (1 - trust) * self.mean
        left = (1 - trust) * self.low_deviation**2
        means = avg_pool2d(x_t, self.factor)
        # The mean of a block's noise has the variance 1 / area.
        low = noise / area * (means - signal * expected) / (signal**2 * left + noise**2 / area)
        high = noise * (x_t - self._enlarged(means)) / (signal**2 * self.high_deviation**2 + noise**2)
        return self._enlarged(low) + high

    def _enlarged(self, means: Tensor) -> Tensor:
        return interpolate(means, scale_factor=self.factor, mode="nearest")
