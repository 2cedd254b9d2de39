"""What every mini diffusion model minimises: the noise's squared error with min-SNR weights.

Hang et al. 2023: an error at timestep t counts min(SNR_t, 5) / SNR_t, SNR_t = alpha_bar / (1 - alpha_bar),
so that the easy steps with little noise do not drown the ones that decide what a picture shows.

Seen as an error of x0_hat, that counts min(SNR_t, 5): hardly anything where noise prevails, where a prompt
alone cannot tell the picture anyway. A super-resolution model sees a second noisy picture; signal-to-noise
ratios of independent observations add, so for it an error counts min(SNR_t + SNR_level, 5), within a bound.
Without that it neglects what only the condition can tell, and a colour that is wrong at first stays wrong.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from castex.protocols import Sample
from castex.schedule import NoiseSchedule

GAMMA = 5.0
HEAVIEST = 10.0
"""Bounds the weight beside a condition, which without it has no end where x_t has no signal left."""
UNCONDITIONAL = 0.1
"""Share of captions that are replaced by the empty one."""


class Noising:
    """A schedule on one device, and the draws of a batch."""

    def __init__(self, schedule: NoiseSchedule, device: torch.device) -> None:
        alpha_bar = schedule.alpha_bar.double()
        self.signal = alpha_bar.sqrt().float().to(device)
        self.noise = (1 - alpha_bar).sqrt().float().to(device)
        snr = alpha_bar / (1 - alpha_bar)
        weight = snr.clamp(max=GAMMA) / snr
        self.snr = snr.float().to(device)
        self.weight = weight.float().to(device)
        self._share = weight.cumsum(0) / weight.sum()
        self.device = device

    def timesteps(self, count: int, stream: torch.Generator) -> Int[Tensor, "batch"]:
        """Uniform timesteps, one per picture, stratified over the batch."""
        steps = len(self.signal)
        places = (torch.arange(count) + torch.rand(count, generator=stream)) / count
        return (places * steps).long().clamp(max=steps - 1).to(self.device)

    def important_timesteps(self, count: int, stream: torch.Generator) -> Int[Tensor, "batch"]:
        """Timesteps drawn as often as their errors count, stratified over the batch.

        The plain mean of their errors has the expectation of the weighted one, up to a constant factor, and
        no picture is spent on a timestep that hardly counts.
        """
        places = (torch.arange(count) + torch.rand(count, generator=stream)) / count
        found = torch.searchsorted(self._share, places.double(), right=True)
        return found.clamp(max=len(self._share) - 1).to(self.device)

    def noised(self, x: Sample, eps: Sample, t: Int[Tensor, "batch"]) -> Sample:
        """x_t with a timestep per picture."""
        return self.signal[t, None, None, None] * x + self.noise[t, None, None, None] * eps

    def weight_beside(self, t: Int[Tensor, "batch"], level: Int[Tensor, "batch"]) -> Float[Tensor, " batch"]:
        """What an error of eps_hat counts where a picture noised to `level` is seen beside x_t."""
        known = (self.snr[t] + self.snr[level]).clamp(max=GAMMA)
        return (known / self.snr[t]).clamp(max=HEAVIEST)

    def loss(self, eps_hat: Sample, eps: Sample, t: Int[Tensor, "batch"]) -> Float[Tensor, ""]:
        """The weighted mean squared error of the predicted noise, for uniform timesteps."""
        return (self.weight[t] * errors(eps_hat, eps)).mean()


def errors(eps_hat: Sample, eps: Sample) -> Float[Tensor, " batch"]:
    """The mean squared error of the predicted noise, per picture."""
    return (eps_hat.float() - eps).square().mean((1, 2, 3))


def normal(shape: torch.Size | tuple[int, ...], stream: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal noise, drawn on the CPU so that every device sees the same."""
    return torch.randn(shape, generator=stream).to(device)


def with_empty(captions: list[str], stream: torch.Generator) -> list[str]:
    """A tenth of the captions emptied: what classifier-free guidance calls unconditional."""
    drop = torch.rand(len(captions), generator=stream) < UNCONDITIONAL
    return ["" if empty else caption for caption, empty in zip(captions, drop.tolist(), strict=True)]


def as_samples(pictures: Tensor, device: torch.device) -> Sample:
    """uint8 pictures as samples in [-1, 1]."""
    return pictures.to(device).float() / 127.5 - 1


def flipped(pictures: Tensor, stream: torch.Generator) -> Tensor:
    """About half of the pictures mirrored; view words stay true."""
    mirror = torch.rand(len(pictures), generator=stream) < 0.5
    return torch.where(mirror[:, None, None, None], pictures.flip(-1), pictures)
