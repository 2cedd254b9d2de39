"""A start for a small stage II that already passes its two pictures through: x_t and the condition.

What a super-resolution model has to say of the noise is mostly arithmetic. Where the condition c, noised to a
level, tells the clean picture up to a rest of variance v, the best linear answer is

    eps_hat = s / (s^2 + a^2 v) (x_t - a m),    m = w c,

with a, s the coefficients of the timestep and w, v those of the normal distribution of x_0 given c. A freshly
drawn UNet spends thousands of steps on learning to copy every pixel of x_t, and never quite does: its group
normalisations forget the scale. Here four channels stand for one signal z: z, -z and two constants that
dominate the group's variance, so that the normalisation is nearly a fixed scale; GELU(z) - GELU(-z) = z makes
the pair linear. Signals lie in the first convolution, whose output the last block sees beside the coarser
levels; the gains, which depend on timestep and level, are fitted to that block's own embedding. All else
keeps its random start and learns what is not arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from castex.errors import InputError
from castex.schedule import NoiseSchedule

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from diffusers.models.resnet import ResnetBlock2D

SIGNALS, CHANNELS = 6, 4
"""Three channels of x_t, three of the condition; channels of the network for each."""
CONSTANT = 4.0
PICTURE, REST = 0.35, 0.02
"""Variance of pictures in [-1, 1], and of what an enlarged picture of a quarter of the side leaves open."""
FASTEST = 1 / 2
"""Share of the sines of an embedding, the fastest, that begin without weight: the gains are smooth."""
LOUDER = 2.5
"""Factor of the embedding's weights: small ones read the gains off it, and a step of Adam moves little."""
PAIRS, RIDGE = 4000, 1e-4
SEED = 0


@torch.no_grad()
def linear_start_(unet: UNet2DConditionModel, schedule: NoiseSchedule) -> None:
    """Set the weights in place; InputError for a network whose finest level has too few channels."""
    last = unet.up_blocks[-1].resnets[-1]
    width, groups = int(unet.config.block_out_channels[0]), int(unet.config.norm_num_groups)
    if width // groups < CHANNELS or groups < SIGNALS:
        raise InputError(
            f"a linear start needs {SIGNALS} groups of {CHANNELS} channels at the finest level, but there "
            f"are {groups} of {width // groups}; widen it or set linear_start: false"
        )
    size = width // groups
    for signal in range(SIGNALS):
        _signal(unet.conv_in, size * signal, {signal: 1.0})
        # The last block sees the coarser levels' channels first, then those of the first convolution.
        above = width + size * signal
        spread = _spread(PICTURE)
        _signal(last.conv1, size * signal, {above: spread, above + 1: -spread})
    _embed_gains(unet, last, schedule, size)
    spread, root = _spread(PICTURE), float(last.output_scale_factor)
    for colour in range(SIGNALS // 2):
        noisy, known = size * colour, size * (colour + SIGNALS // 2)
        parts = {noisy: spread, noisy + 1: -spread, known: -spread, known + 1: spread}
        _signal(last.conv2, size * colour, {k: root * v for k, v in parts.items()}, constant=root * CONSTANT)
        last.conv_shortcut.weight[size * colour : size * colour + CHANNELS] = 0
        last.conv_shortcut.bias[size * colour : size * colour + CHANNELS] = 0
        out = _spread(1.0)
        _row(unet.conv_out, colour, {size * colour: out, size * colour + 1: -out}, bias=0.0)


def _spread(variance: float) -> float:
    """The standard deviation of a group, half of whose channels are signals of this variance."""
    return float(((variance + CONSTANT**2) / 2) ** 0.5)


def _signal(
    convolution: nn.Conv2d, place: int, parts: dict[int, float], *, constant: float = CONSTANT
) -> None:
    """Four output channels from `place` on: a sum of inputs, its negative, and two constants."""
    _row(convolution, place, parts, bias=0.0)
    _row(convolution, place + 1, {k: -v for k, v in parts.items()}, bias=0.0)
    _row(convolution, place + 2, {}, bias=constant)
    _row(convolution, place + 3, {}, bias=-constant)


def _row(convolution: nn.Conv2d, channel: int, parts: dict[int, float], *, bias: float) -> None:
    """One output channel: a weighted sum of input channels at the same pixel."""
    assert convolution.bias is not None
    convolution.weight[channel] = 0
    convolution.bias[channel] = bias
    middle = convolution.kernel_size[0] // 2
    for source, weight in parts.items():
        convolution.weight[channel, source, middle, middle] = weight


def gains(
    schedule: NoiseSchedule, timestep: Tensor, level: Tensor
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
    """What eps_hat is of x_t, and of the noised condition (subtracted), for pairs of both noise levels."""
    alpha_bar = schedule.alpha_bar.double()
    a_squared, b_squared = alpha_bar[timestep], alpha_bar[level]
    trust = b_squared * PICTURE / (b_squared * PICTURE + 1 - b_squared)
    rest = (1 - trust) * PICTURE + REST
    of_noisy = (1 - a_squared).sqrt() / (1 - a_squared + a_squared * rest)
    return of_noisy, of_noisy * a_squared.sqrt() * trust / b_squared.sqrt()


def _embed_gains(unet: UNet2DConditionModel, last: ResnetBlock2D, schedule: NoiseSchedule, size: int) -> None:
    """Fit the last block's scales to the gains, on pairs of timestep and level; shifts begin at zero."""
    stream = torch.Generator().manual_seed(SEED)
    timestep, level = (torch.randint(len(schedule.alpha_bar), (PAIRS,), generator=stream) for _ in range(2))
    for embedding in (unet.time_embedding, unet.class_embedding):
        half = embedding.linear_1.weight.shape[1] // 2
        slow = torch.arange(half) >= FASTEST * half
        embedding.linear_1.weight.mul_(LOUDER * slow.repeat(2))
        embedding.linear_2.weight.mul_(LOUDER)
    # The prompt joins in with no weight at first.
    nn.init.zeros_(unet.add_embedding.norm2.weight)
    nn.init.zeros_(unet.add_embedding.norm2.bias)
    whole = unet.time_embedding(unet.time_proj(timestep)) + unet.class_embedding(unet.time_proj(level))
    features = unet.time_embed_act(whole).double()
    features = torch.cat([features, torch.ones(PAIRS, 1, dtype=torch.float64)], dim=1)
    wanted = torch.stack(gains(schedule, timestep, level), dim=1) - 1
    normal = features.T @ features + RIDGE * PAIRS * torch.eye(features.shape[1], dtype=torch.float64)
    found = torch.linalg.solve(normal, features.T @ wanted).float()
    projection, width = last.time_emb_proj, last.time_emb_proj.out_features // 2
    for signal in range(SIGNALS):
        rows = slice(size * signal, size * signal + 2)
        kind = int(signal >= SIGNALS // 2)
        projection.weight[rows], projection.bias[rows] = found[:-1, kind], found[-1, kind]
        shifts = slice(width + rows.start, width + rows.stop)
        projection.weight[shifts], projection.bias[shifts] = 0.0, 0.0
