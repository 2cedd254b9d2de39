"""Shapes of the mini diffusion networks: the classes and options of DeepFloyd IF, a few channels wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from castex.settings.training import CascadeShape
from castex.training.t5 import WIDTH

if TYPE_CHECKING:
    from diffusers import DDPMScheduler, UNet2DConditionModel

DYNAMIC_THRESHOLD = 0.95
"""DeepFloyd's dynamic thresholding; the largest values, 1.5 and 1.0, stand in the scheduler's settings."""


def new_unet(shape: CascadeShape, *, size: int, upsampler: bool, seed: int) -> UNet2DConditionModel:
    """An untrained UNet of IF's kind: text-conditioned, six output channels, three of them unused.

    IF predicts a variance beside the noise; ours has the channels, so that shapes and loaders agree, but they
    are not trained, because nothing in this package reads them.
    """
    from diffusers import UNet2DConditionModel

    down = tuple("SimpleCrossAttnDownBlock2D" if a else "ResnetDownsampleBlock2D" for a in shape.attention)
    up = tuple("SimpleCrossAttnUpBlock2D" if a else "ResnetUpsampleBlock2D" for a in shape.attention[::-1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: UNet2DConditionModel = UNet2DConditionModel(
            sample_size=size,
            in_channels=6 if upsampler else 3,
            out_channels=6,
            block_out_channels=shape.channels,
            layers_per_block=shape.layers,
            down_block_types=down,
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=up,
            cross_attention_dim=WIDTH,
            encoder_hid_dim=WIDTH,
            encoder_hid_dim_type="text_proj",
            attention_head_dim=shape.head,
            addition_embed_type="text",
            addition_embed_type_num_heads=4,
            cross_attention_norm="group_norm",
            resnet_time_scale_shift="scale_shift",
            act_fn="gelu",
            norm_num_groups=8,
            **(_upsampling() if upsampler else {}),
        )
    return network


def _upsampling() -> dict[str, Any]:
    return {
        "class_embed_type": "timestep",
        "time_embedding_act_fn": "gelu",
        "resnet_skip_time_act": True,
        "resnet_out_scale_factor": 2**0.5,
        "mid_block_scale_factor": 2**0.5,
        "only_cross_attention": True,
    }


def new_scheduler(*, upsampler: bool) -> DDPMScheduler:
    """IF's scheduler: squared cosine, 1000 steps, epsilon, learned-range variance, dynamic thresholding."""
    from diffusers import DDPMScheduler

    scheduler: DDPMScheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="epsilon",
        variance_type="learned_range",
        thresholding=True,
        dynamic_thresholding_ratio=DYNAMIC_THRESHOLD,
        sample_max_value=1.0 if upsampler else 1.5,
    )
    return scheduler


def new_noising_scheduler() -> DDPMScheduler:
    """The schedule that noises stage II's condition."""
    from diffusers import DDPMScheduler

    scheduler: DDPMScheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    return scheduler
