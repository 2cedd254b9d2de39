"""Score distillation: a noise predictor's opinion of an image, as a gradient.

`DistilledScore` works in the predictor's own space; `PixelGuidance` and `LatentGuidance` carry its
gradient back to an image in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from castex.protocols import Codec, Image, NoisePredictor, Sample
from castex.schedule import NoiseSchedule


@dataclass(frozen=True, slots=True)
class DistilledScore:
    """Score distillation sampling in x0 form with constant weight (Eq. 1 of the paper).

    Draws one timestep for the batch, uniform in [timestep_min, timestep_max), and fresh noise; then
    x0_hat = (x_t - sqrt(1 - alpha_bar) eps_hat) / sqrt(alpha_bar), and the gradient of
    0.5 ||x - x0_hat||^2 with x0_hat held fixed is x - x0_hat.
    """

    predictor: NoisePredictor
    schedule: NoiseSchedule
    timestep_min: int
    timestep_max: int

    def gradient(self, x: Sample, *, generator: torch.Generator) -> Sample:
        """The gradient with respect to the sample `x`; noise is drawn on the CPU and moved."""
        timestep = int(torch.randint(self.timestep_min, self.timestep_max, (), generator=generator))
        eps = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        return x - self.predicted_clean(x, timestep, eps)

    def predicted_clean(self, x: Sample, timestep: int, eps: Sample) -> Sample:
        """x0_hat for a given timestep and noise, where the predictor is asked without gradients."""
        signal, noise = self.schedule.coefficients(timestep)
        x_t = signal * x + noise * eps
        with torch.no_grad():
            eps_hat = self.predictor(x_t, timestep)
        return (x_t - noise * eps_hat) / signal


@dataclass(frozen=True, slots=True)
class PixelGuidance:
    """Guidance by a predictor that sees pixels in [-1, 1]."""

    score: DistilledScore

    def gradient(self, image: Image, shot: object, *, progress: float, generator: torch.Generator) -> Image:
        """d/d image of 0.5 ||x - x0_hat||^2 with x = 2 image - 1."""
        return 2 * self.score.gradient(2 * image - 1, generator=generator)


@dataclass(frozen=True, slots=True)
class LatentGuidance:
    """Guidance by a predictor that sees latent codes: the gradient passes through the encoder.

    `pull` > 0 adds the decoder-based regularisation that the paper reports to have tried without gain:
    pull / 2 ||image - dec(enc(image))||^2 with the decoded picture held fixed.
    """

    score: DistilledScore
    codec: Codec
    pull: float = 0.0

    def gradient(self, image: Image, shot: object, *, progress: float, generator: torch.Generator) -> Image:
        """The latent gradient times the encoder's Jacobian, d code / d image."""
        leaf = image.detach().requires_grad_()
        with torch.enable_grad():
            code = self.codec.encode(leaf)
        latent_gradient = self.score.gradient(code.detach(), generator=generator)
        (pixel_gradient,) = torch.autograd.grad(code, leaf, latent_gradient)
        if self.pull > 0:
            with torch.no_grad():
                pixel_gradient = pixel_gradient + self.pull * (image - self.codec.decode(code.detach()))
        return pixel_gradient
