"""Parameterisations: what the optimiser owns, and the maps that come out of it.

Two parameterisations of a flat image serve Figure 2: every pixel a parameter, or a network's weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castex.protocols import Image


class ExplicitImage(nn.Module):
    """theta is the picture: one parameter per pixel and channel, kept in [0, 1] by projection."""

    def __init__(self, initial: Image) -> None:
        super().__init__()
        self.pixels = nn.Parameter(initial.clone())

    def maps(self) -> Image:
        """The picture itself."""
        return self.pixels

    @torch.no_grad()
    def project_(self) -> None:
        """Clamp to [0, 1] in place, as texture maps are clamped after each step."""
        self.pixels.clamp_(0, 1)


class NeuralImage(nn.Module):
    """theta are the weights of a skip network that turns fixed noise into the picture (deep image prior)."""

    noise: Tensor

    def __init__(self, network: nn.Module, size: int, *, generator: torch.Generator) -> None:
        super().__init__()
        # Convolutions of this width run a fifth faster on CPUs when channels lie together in memory.
        # (torch types `to` without this argument.)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        noise = torch.randn(1, 3, size, size, generator=generator)
        mean, deviation = noise.mean((2, 3), keepdim=True), noise.std((2, 3), keepdim=True)
        self.register_buffer("noise", (noise - mean) / deviation)

    def maps(self) -> Image:
        """The network's picture, in (0, 1) by its sigmoid."""
        image: Tensor = self.network(self.noise)
        return image

    def project_(self) -> None:
        """Nothing to do: the sigmoid keeps the range."""


class SkipNetwork(nn.Module):
    """The hourglass of Deep Image Prior as Paint-it uses it (Ulyanov et al. 2018, their `skip` net).

    Per scale: 3x3 stride-2 and 3x3 convolutions down, a 1x1 skip, nearest upsampling, then batch norm over
    the concatenation, a 3x3 and a 1x1 convolution up. Reflection padding, batch norm and LeakyReLU 0.2
    throughout, a sigmoid at the end. `width` channels everywhere; 2,965,507 parameters at width 128.
    """

    def __init__(self, width: int, scales: int, *, outputs: int = 3, generator: torch.Generator) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_Scale(3 if k == 0 else width, width) for k in range(scales))
        self.output = nn.Conv2d(width, outputs, 1)
        _initialise(self, generator)

    def forward(self, noise: Tensor) -> Tensor:
        """`batch 3 height width` noise to `batch outputs height width` in (0, 1)."""
        return torch.sigmoid(self.output(self._hourglass(noise, 0)))

    def _hourglass(self, x: Tensor, level: int) -> Tensor:
        scale = self.scales[level]
        assert isinstance(scale, _Scale)
        deep = scale.down(x)
        if level + 1 < len(self.scales):
            deep = self._hourglass(deep, level + 1)
        # An odd side grows by one pixel on its way down and up again: cut it back.
        deep = F.interpolate(deep, scale_factor=2, mode="nearest")[..., : x.shape[2], : x.shape[3]]
        merged: Tensor = scale.up(torch.cat([scale.skip(x), deep], dim=1))
        return merged


class _Scale(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.skip = _block(inputs, width, kernel=1)
        self.down = nn.Sequential(_block(inputs, width, stride=2), _block(width, width))
        self.up = nn.Sequential(
            nn.BatchNorm2d(2 * width), _block(2 * width, width), _block(width, width, kernel=1)
        )


def _block(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


@torch.no_grad()
def _initialise(network: nn.Module, generator: torch.Generator) -> None:
    """torch's default convolution initialisation (uniform, bound 1/sqrt(fan in)) from our own generator."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            for tensor in (layer.weight, layer.bias):
                assert tensor is not None
                tensor.copy_((2 * torch.rand(tensor.shape, generator=generator) - 1) * bound)
