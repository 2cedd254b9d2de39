"""Scores in closed form: distributions whose optimal noise predictor needs no network."""

from __future__ import annotations

from dataclasses import dataclass

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
