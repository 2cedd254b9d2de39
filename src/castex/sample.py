"""Pictures from noise: deterministic sampling (DDIM) with any noise predictor.

Song et al. 2021, Eq. 12 with sigma = 0: from x_t to the earlier time s,
x_s = sqrt(alpha_bar_s) x0_hat + sqrt(1 - alpha_bar_s) eps_hat. Where x0_hat is bounded, eps_hat becomes the
noise that leads from the bounded picture to x_t, as diffusers' `use_clipped_model_output` has it.

Two settings of Stable Diffusion's own scheduler are not followed: `steps_offset: 1` (its timesteps are one
later: 1, 21, 41, ... at 50 steps, ours 0, 20, 40, ...) and `set_alpha_to_one: false` (its last step leads to
timestep 0, ours to the clean sample). Pictures therefore differ a little from those of its pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from castex.errors import InputError
from castex.guidance import UNBOUNDED, bounded
from castex.protocols import NO_CONDITION, Condition, NoisePredictor, Sample
from castex.schedule import NoiseSchedule
from castex.settings.models import ThresholdSettings


@dataclass(frozen=True, slots=True)
class Sampler:
    """DDIM with a fixed list of timesteps."""

    predictor: NoisePredictor
    schedule: NoiseSchedule
    timesteps: Sequence[int]
    """From the noisiest to the cleanest; the last one leads to the clean sample."""
    threshold: ThresholdSettings = UNBOUNDED
    """What becomes of an x0_hat outside [-1, 1]."""

    @torch.no_grad()
    def __call__(
        self,
        noise: Sample,
        condition: Condition = NO_CONDITION,
    ) -> Sample:
        """The clean samples that grow out of standard normal `noise`."""
        x = noise
        for t, following in zip(self.timesteps, [*self.timesteps[1:], None], strict=True):
            eps_hat = self.predictor(x, t, condition)
            x0_hat = bounded(self.schedule.clean(x, eps_hat, t), self.threshold)
            if following is None:
                x = x0_hat
            else:
                x = self.schedule.noised(x0_hat, self.schedule.noise(x, x0_hat, t), following)
        return x


def timesteps(steps: int, of: int = 1000) -> list[int]:
    """`steps` evenly spaced timesteps of `of`, from the noisiest to 0.

    The spacing that diffusers calls `leading`, DeepFloyd's own. The very last timesteps, where no picture is
    left to be predicted from, are never asked for. InputError for more steps than timesteps.
    """
    if not 1 <= steps <= of:
        raise InputError(f"{steps} steps for a process of {of} timesteps; choose 1 to {of}")
    return [k * (of // steps) for k in reversed(range(steps))]
