"""Score distillation: a noise predictor's opinion of an image, as a gradient.

`DistilledScore` works in the predictor's own space; `PixelGuidance` and `LatentGuidance` carry its
gradient back to an image in [0, 1]. `ClassifierFree` is a predictor made of another one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from castex.errors import InputError
from castex.protocols import NO_CONDITION, Codec, Condition, Image, NoisePredictor, Sample, Text
from castex.schedule import NoiseSchedule
from castex.settings.models import ThresholdSettings

UNBOUNDED = ThresholdSettings(kind="none")


@dataclass(frozen=True, slots=True)
class ClassifierFree:
    """Classifier-free guidance: uncond + scale (cond - uncond), both from one call of the predictor.

    `negative` is the embedded prompt of the unconditional half, the empty text unless somebody wants another;
    it takes the place of the condition's own text, and everything else in the condition stays. At scale 0 and
    1 the half that has no weight is not computed. Any scale is allowed, negative ones too.
    """

    predictor: NoisePredictor
    scale: float
    negative: Text

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """The guided noise; InputError without a text to be guided by, or for one that fits no sample."""
        if self.scale == 0:
            return self.predictor(x_t, timestep, dataclasses.replace(condition, text=self.negative))
        if self.scale == 1:
            return self.predictor(x_t, timestep, condition)
        both = self.predictor(torch.cat([x_t, x_t]), timestep, self._both_halves(condition, len(x_t)))
        uncond, cond = both.chunk(2)
        return uncond + self.scale * (cond - uncond)

    def _both_halves(self, condition: Condition, batch: int) -> Condition:
        if condition.text is None:
            raise InputError("classifier-free guidance needs a prompt; give the condition a text")
        if self.negative.shape[1:] != condition.text.shape[1:]:
            raise InputError(
                f"a prompt of {tuple(condition.text.shape[1:])} tokens and numbers per token, a negative one "
                f"of {tuple(self.negative.shape[1:])}; embed both with the same text encoder"
            )
        halves = [_for_all(text, batch).to(condition.text) for text in (self.negative, condition.text)]
        return dataclasses.replace(
            condition,
            text=torch.cat(halves),
            low_resolution=_twice(condition.low_resolution),
            depth=_twice(condition.depth),
        )


def _for_all(text: Text, batch: int) -> Tensor:
    if len(text) not in (1, batch):
        raise InputError(f"{len(text)} embedded texts for {batch} samples; give one for all, or one each")
    return text.expand(batch, -1, -1)


def _twice(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else torch.cat([tensor, tensor])


def bounded(x0_hat: Sample, threshold: ThresholdSettings) -> Sample:
    """A predicted clean sample after thresholding; with `clip` and `dynamic` it lies in [-1, 1]."""
    match threshold.kind:
        case "none":
            return x0_hat
        case "clip":
            return x0_hat.clamp(-1, 1)
        case "dynamic":
            sizes = torch.quantile(x0_hat.float().abs().flatten(1), threshold.ratio, dim=1)
            limit = sizes.clamp(1, threshold.largest).view(-1, 1, 1, 1).to(x0_hat.dtype)
            return x0_hat.clamp(-limit, limit) / limit


@dataclass(frozen=True, slots=True)
class DistilledScore:
    """Score distillation sampling in x0 form with constant weight (Eq. 1 of the paper).

    Draws one timestep for the batch, uniform in [timestep_min, timestep_max), and fresh noise; then
    x0_hat = (x_t - sqrt(1 - alpha_bar) eps_hat) / sqrt(alpha_bar), and the gradient of
    0.5 ||x - x0_hat||^2 with x0_hat held fixed is x - x0_hat. `threshold` says what becomes of an x0_hat
    outside [-1, 1]; the paper clips it.
    """

    predictor: NoisePredictor
    schedule: NoiseSchedule
    timestep_min: int
    timestep_max: int
    threshold: ThresholdSettings = UNBOUNDED

    def gradient(
        self, x: Sample, *, generator: torch.Generator, condition: Condition = NO_CONDITION
    ) -> Sample:
        """The gradient with respect to the sample `x`; noise is drawn on the CPU and moved."""
        timestep = int(torch.randint(self.timestep_min, self.timestep_max, (), generator=generator))
        eps = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        return x - self.predicted_clean(x, timestep, eps, condition)

    def predicted_clean(
        self, x: Sample, timestep: int, eps: Sample, condition: Condition = NO_CONDITION
    ) -> Sample:
        """x0_hat for a given timestep and noise, where the predictor is asked without gradients."""
        x_t = self.schedule.noised(x, eps, timestep)
        with torch.no_grad():
            eps_hat = self.predictor(x_t, timestep, condition)
        return bounded(self.schedule.clean(x_t, eps_hat, timestep), self.threshold)


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
    pull / 2 ||image - dec(enc(image))||^2 with the decoded picture held fixed. With posterior = "sample" the
    code is a draw from the encoder's posterior, as in most latent-space methods, in place of its mean.
    """

    score: DistilledScore
    codec: Codec
    pull: float = 0.0
    posterior: Literal["mean", "sample"] = "mean"

    def gradient(self, image: Image, shot: object, *, progress: float, generator: torch.Generator) -> Image:
        """The latent gradient times the encoder's Jacobian, d code / d image."""
        leaf = image.detach().requires_grad_()
        with torch.enable_grad():
            code = self.codec.encode(leaf, generator if self.posterior == "sample" else None)
        latent_gradient = self.score.gradient(code.detach(), generator=generator)
        (pixel_gradient,) = torch.autograd.grad(code, leaf, latent_gradient)
        if self.pull > 0:
            with torch.no_grad():
                pixel_gradient = pixel_gradient + self.pull * (image - self.codec.decode(code.detach()))
        return pixel_gradient
