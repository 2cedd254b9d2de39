"""Stable Diffusion, alone and with a depth ControlNet: latent space, with its autoencoder beside it.

The predictors work on codes; `LatentGuidance(DistilledScore(score, score.schedule, ...), score.codec)` takes
pictures in [0, 1], and `posterior` of that guidance says whether codes are posterior means or samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from castex.diffusion.codec import LatentCodec, codec_of
from castex.diffusion.network import ON_CPU, Network, load_network
from castex.diffusion.schedulers import Prediction, read_process
from castex.errors import InputError, WeightsError
from castex.protocols import NO_CONDITION, Condition, Sample
from castex.schedule import NoiseSchedule
from castex.settings.models import ExecutionSettings
from castex.weights import locate

LATENT_CHANNELS = 4


@dataclass(frozen=True, slots=True)
class StableDiffusionScore:
    """Noise on latent codes from a prompt; a network that predicts velocities is converted."""

    network: Network
    schedule: NoiseSchedule
    prediction: Prediction
    codec: LatentCodec

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """eps_hat on a code, `batch 4 height/8 width/8`."""
        return self.noise(x_t, timestep, self.network(x_t, timestep, condition.text))

    def noise(self, x_t: Sample, timestep: int, predicted: Sample) -> Sample:
        """eps_hat of what the network predicted."""
        if self.prediction == "v_prediction":
            return self.schedule.noise_of_velocity(x_t, predicted, timestep)
        return predicted


@dataclass(frozen=True, slots=True)
class DepthControlNetScore:
    """Stable Diffusion that also follows a depth picture."""

    base: StableDiffusionScore
    control: Network

    @property
    def schedule(self) -> NoiseSchedule:
        """That of Stable Diffusion."""
        return self.base.schedule

    @property
    def codec(self) -> LatentCodec:
        """That of Stable Diffusion."""
        return self.base.codec

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """eps_hat on a code, for a depth picture of the size of the picture behind the code."""
        depth, stride = condition.depth, self.codec.stride
        wanted = (len(x_t), 3, stride * x_t.shape[2], stride * x_t.shape[3])
        if depth is None or tuple(depth.shape) != wanted:
            given = "none" if depth is None else f"one of shape {tuple(depth.shape)}"
            raise InputError(f"a depth ControlNet needs a depth picture of shape {wanted}, and has {given}")
        down, middle = self.control.outputs(
            x_t,
            timestep,
            condition.text,
            controlnet_cond=self.control.laid_out(depth),
            conditioning_scale=condition.depth_scale,
        )
        predicted: Sample = self.base.network(
            x_t,
            timestep,
            condition.text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        )
        return self.base.noise(x_t, timestep, predicted)


def load_stable_diffusion(path: Path, execution: ExecutionSettings = ON_CPU) -> StableDiffusionScore:
    """Stable Diffusion from a model folder or a lock file; WeightsError when it is not one."""
    folder = locate(path)
    process = read_process(folder)
    network = load_network(
        folder,
        "unet",
        "UNet2DConditionModel",
        execution,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
    )
    codec = codec_of(folder, device=execution.device)
    return StableDiffusionScore(network, process.schedule, process.prediction, codec)


def load_depth_controlnet(
    path: Path, base: StableDiffusionScore, execution: ExecutionSettings = ON_CPU
) -> DepthControlNetScore:
    """A ControlNet for `base` from a model folder or a lock file; WeightsError when it is for another."""
    control = load_network(
        locate(path), "", "ControlNetModel", execution, in_channels=LATENT_CHANNELS, conditioning_channels=3
    )
    for key in ("block_out_channels", "cross_attention_dim"):
        if list_of(control.config[key]) != list_of(base.network.config[key]):
            raise WeightsError(
                f"the ControlNet in {path} has {key}={control.config[key]} and Stable Diffusion "
                f"{base.network.config[key]}; they do not belong together"
            )
    return DepthControlNetScore(base, control)


def list_of(value: object) -> list[object]:
    """A configuration's number or list of numbers as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]
