"""Figure 3 where everything can be derived: distillation of the best upsampler of normal pictures.

Let m be a block mean that begins at y, mu the prior's mean, and w how far the condition is believed
(`ConditionalGaussianPredictor.trust`). The expected predicted mean is (1 - k) m + k e, where e is what the
condition alone suggests and k = (s^2 / n) / (a^2 v + s^2 / n) with a, s the coefficients of the timestep, n
the pixels of a block, and v = (1 - w) sigma^2 what the condition leaves open. With the weight w(t) and the
learning rate h each step moves m by the share r = h E[w(t) k] of its way to e:

- anchored, e = w y + (1 - w) mu: the way from y to mu is covered to (1 - w) (1 - (1 - r)^steps);
- unanchored, e = w m + (1 - w) mu: it is covered to 1 - (1 - (1 - w) r)^steps.

Both begin alike; the one stops at 1 - w, the other goes on until nothing is left of y.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from castex.analytic import ConditionalGaussianPredictor
from castex.distil import Distillation, window
from castex.protocols import Condition
from castex.rng import generator
from castex.schedule import squared_cosine
from castex.settings.anchoring import AnchoringTheorySettings

SOURCES = ("anchored", "unanchored")
MEAN, CHANNELS = 0.0, 3


def predictor(settings: AnchoringTheorySettings) -> ConditionalGaussianPredictor:
    """The best upsampler of the settings' pictures."""
    schedule = squared_cosine()
    return ConditionalGaussianPredictor(
        MEAN, settings.low_deviation, settings.high_deviation, settings.factor, schedule, schedule
    )


def step_share(settings: AnchoringTheorySettings) -> float:
    """r: the share of the way to e that a step covers, in expectation over the timesteps."""
    upsampler, area = predictor(settings), settings.factor**2
    left = (1 - upsampler.trust(settings.level)) * settings.low_deviation**2
    distillation = Distillation(upsampler, upsampler.schedule, settings.distil)
    low, high = window(settings.distil.window, 0.0)
    shares = []
    for timestep in range(low, high):
        signal, noise = upsampler.schedule.coefficients(timestep)
        kept = (noise**2 / area) / (signal**2 * left + noise**2 / area)
        shares.append(distillation.weight(timestep) * kept)
    return settings.learning_rate * sum(shares) / len(shares)


def derived(settings: AnchoringTheorySettings, source: str) -> list[float]:
    """Share of the way from y to mu that is covered after 0, 1, ... steps."""
    trust, share = predictor(settings).trust(settings.level), step_share(settings)
    steps = range(settings.steps + 1)
    if source == "anchored":
        return [(1 - trust) * (1 - (1 - share) ** k) for k in steps]
    return [1 - (1 - (1 - trust) * share) ** k for k in steps]


def simulated(settings: AnchoringTheorySettings, source: str, *, seed: int) -> list[list[float]]:
    """The same, measured in runs of the loss that textures are made with; one list per run.

    Measured along the way itself, so that the noise of a run does not count as drift.
    """
    upsampler = predictor(settings)
    distillation = Distillation(upsampler, upsampler.schedule, settings.distil)
    stream = generator(seed, "anchoring theory", "run")
    shape = (settings.runs, CHANNELS, settings.size, settings.size)
    small = (settings.size // settings.factor,) * 2
    first = settings.low_deviation * torch.randn(settings.runs, CHANNELS, *small, generator=stream)
    detail = settings.high_deviation * torch.randn(shape, generator=stream)
    x = _enlarged(first, settings) + detail - _enlarged(avg_pool2d(detail, settings.factor), settings)
    covered = [_covered(x, first, settings)]
    for _ in range(settings.steps):
        shown = first if source == "anchored" else avg_pool2d(x, settings.factor)
        picture = _enlarged(shown, settings)
        noise = torch.randn(picture.shape, generator=stream)
        condition = dataclasses.replace(
            Condition(),
            low_resolution=upsampler.noising.noised(picture, noise, settings.level),
            noise_level=settings.level,
        )
        gradient = distillation.gradient(x, progress=0.0, generator=stream, condition=condition)
        # The loss is a mean over the pictures; each of them is a run of its own.
        x = x - settings.learning_rate * settings.runs * gradient
        covered.append(_covered(x, first, settings))
    return torch.stack(covered, dim=1).tolist()


def _enlarged(means: Tensor, settings: AnchoringTheorySettings) -> Tensor:
    return interpolate(means, scale_factor=settings.factor, mode="nearest")


def _covered(x: Tensor, first: Tensor, settings: AnchoringTheorySettings) -> Tensor:
    """Per run: the projection of the block means' movement on the way to the prior's mean."""
    moved, way = avg_pool2d(x, settings.factor) - first, MEAN - first
    return (moved * way).sum((1, 2, 3)) / way.square().sum((1, 2, 3))
