"""A start for small autoencoders in which brightness already passes through.

diffusers' autoencoders normalise their features per picture, so a freshly drawn one loses the mean colour
and the contrast and spends thousands of steps on learning them back. Here every group of a group
normalisation gets two constant channels, +LEVEL and -LEVEL, that dominate its mean and variance: the
normalisation is then nearly a fixed scale, and a shift puts SiLU into its nearly linear part. Residual
branches start at zero, downsampling starts as averaging (with Haar differences in spare channels), and
upsampling as smoothing, so the untrained network already reduces and enlarges the picture by eight.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

LEVEL = 4.0
SHIFT = 3.0
LUMINANCE = (0.299, 0.587, 0.114)


@torch.no_grad()
def warm_start_(network: AutoencoderKL) -> None:
    """Set the weights in place; channels that carry nothing named here keep their random start."""
    groups = int(network.config["norm_num_groups"])
    for block in network.modules():
        if isinstance(block, ResnetBlock2D):
            nn.init.zeros_(block.conv2.weight)
            nn.init.zeros_(block.conv2.bias)
            if block.conv_shortcut is not None:
                _identity(block.conv_shortcut, groups, 9)
    _encoder(network, groups)
    _decoder(network, groups)
    for convolution in (network.quant_conv, network.post_quant_conv):
        nn.init.dirac_(convolution.weight)
        nn.init.zeros_(convolution.bias)


def signal_channels(channels: int, groups: int) -> list[int]:
    """Channels that carry a signal: all but the last two of every group."""
    size = channels // groups
    return [k for k in range(channels) if k % size < size - 2]


def _constants(convolution: nn.Conv2d, groups: int) -> None:
    """Two channels of every group become +LEVEL and -LEVEL, whatever comes in."""
    size = convolution.out_channels // groups
    for k in range(convolution.out_channels):
        place = k % size - (size - 2)
        if place >= 0:
            _silence(convolution, k, bias=LEVEL if place == 0 else -LEVEL)


def _silence(convolution: nn.Conv2d, channel: int, *, bias: float = 0.0) -> None:
    """An output channel that is `bias` everywhere; its weights are zero and may be set afterwards."""
    assert convolution.bias is not None
    convolution.weight[channel] = 0
    convolution.bias[channel] = bias


def _identity(convolution: nn.Conv2d, groups: int, signals: int, kernel: torch.Tensor | None = None) -> None:
    """The first signals pass unchanged, or filtered with `kernel`; the rest stays random but small."""
    side = convolution.kernel_size[0]
    if kernel is None:
        kernel = torch.zeros(side, side)
        kernel[side // 2, side // 2] = 1
    inputs = signal_channels(convolution.in_channels, groups)
    outputs = signal_channels(convolution.out_channels, groups)
    for source, target in list(zip(inputs, outputs, strict=False))[:signals]:
        _silence(convolution, target)
        convolution.weight[target, source] = kernel
    _constants(convolution, groups)


def _encoder(network: AutoencoderKL, groups: int) -> None:
    encoder = network.encoder
    slots = signal_channels(encoder.conv_in.out_channels, groups)
    for colour in range(3):
        _silence(encoder.conv_in, slots[colour])
        encoder.conv_in.weight[slots[colour], colour, 1, 1] = 1
    _constants(encoder.conv_in, groups)
    average = torch.zeros(3, 3)
    average[:2, :2] = 0.25
    signals = 3
    for block in encoder.down_blocks:
        if block.downsamplers:
            convolution = block.downsamplers[0].conv
            _identity(convolution, groups, signals, average)
            signals += _haar(convolution, groups, signals)
    _open_norm(encoder.conv_norm_out)
    _read_out(encoder.conv_out, groups)


def _haar(convolution: nn.Conv2d, groups: int, signals: int) -> int:
    """Horizontal and vertical differences of the luminance into the next free signal channels."""
    inputs = signal_channels(convolution.in_channels, groups)
    free = signal_channels(convolution.out_channels, groups)[signals : signals + 2]
    for target, axis in zip(free, (0, 1), strict=False):
        kernel = torch.zeros(3, 3)
        kernel[:2, :2] = 0.5 * torch.tensor(
            [[1.0, 1.0], [-1.0, -1.0]] if axis else [[1.0, -1.0], [1.0, -1.0]]
        )
        _silence(convolution, target)
        for colour, weight in enumerate(LUMINANCE):
            convolution.weight[target, inputs[colour]] = weight * kernel
    return len(free)


def _open_norm(norm: nn.GroupNorm) -> None:
    """Undo the constant scale of the group normalisation, and shift SiLU to where it is nearly linear."""
    nn.init.constant_(norm.weight, LEVEL * (2 * norm.num_groups / norm.num_channels) ** 0.5)
    nn.init.constant_(norm.bias, SHIFT)


def _read_out(convolution: nn.Conv2d, groups: int) -> None:
    """Code = luminance, two colour differences, and the coarsest luminance differences; mean about zero."""
    slots = signal_channels(convolution.in_channels, groups)
    red, green, blue = LUMINANCE
    rows = [{0: red, 1: green, 2: blue}, {0: 0.5, 1: -0.5}, {0: 0.25, 1: 0.25, 2: -0.5}, {7: 0.5, 8: 0.5}]
    codes = convolution.out_channels // 2
    for channel in range(convolution.out_channels):
        # The second half is the log variance: the posterior starts narrow.
        _silence(convolution, channel, bias=0.0 if channel < codes else -10.0)
    for channel, row in enumerate(rows[:codes]):
        _silence(convolution, channel, bias=-SHIFT * sum(row.values()))
        for slot, weight in row.items():
            convolution.weight[channel, slots[slot], 1, 1] = weight


def _decoder(network: AutoencoderKL, groups: int) -> None:
    decoder = network.decoder
    slots = signal_channels(decoder.conv_in.out_channels, groups)
    mixing = torch.linalg.inv(torch.tensor([LUMINANCE, (0.5, -0.5, 0.0), (0.25, 0.25, -0.5)]))
    for colour in range(3):
        _silence(decoder.conv_in, slots[colour])
        decoder.conv_in.weight[slots[colour], :3, 1, 1] = mixing[colour]
    _constants(decoder.conv_in, groups)
    smooth = torch.tensor([1.0, 2.0, 1.0])
    for block in decoder.up_blocks:
        if block.upsamplers:
            _identity(block.upsamplers[0].conv, groups, 3, torch.outer(smooth, smooth) / 16)
    _open_norm(decoder.conv_norm_out)
    decoder.conv_out.weight.zero_()
    slots = signal_channels(decoder.conv_out.in_channels, groups)
    for colour in range(3):
        decoder.conv_out.weight[colour, slots[colour], 1, 1] = 1
    nn.init.constant_(decoder.conv_out.bias, -SHIFT)
