"""DeepFloyd IF: the pixel-space cascade. Both stages predict noise on pictures in [-1, 1]."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from castex.diffusion.network import ON_CPU, Network, load_network
from castex.diffusion.schedulers import read_process
from castex.errors import InputError, WeightsError
from castex.protocols import NO_CONDITION, Condition, Image, Sample
from castex.schedule import NoiseSchedule
from castex.settings.models import ExecutionSettings, LowResolutionSettings, ThresholdSettings
from castex.weights import ModelFolder, locate

RGB = 3


@dataclass(frozen=True, slots=True)
class DeepFloydBase:
    """Stage I: a prompt to pictures of 64 pixels (32 in the mini family)."""

    network: Network
    schedule: NoiseSchedule
    threshold: ThresholdSettings
    """Of the model's own sampler: dynamic, 0.95, at most 1.5."""

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """eps_hat; the network's other three channels, a variance, are dropped."""
        predicted: Sample = self.network(x_t, timestep, condition.text)
        return predicted[:, :RGB]


@dataclass(frozen=True, slots=True)
class DeepFloydUpsampler:
    """Stage II: a prompt and a low-resolution picture to pictures four times as large."""

    network: Network
    schedule: NoiseSchedule
    noising: NoiseSchedule
    """Of the noise on the low-resolution picture."""
    threshold: ThresholdSettings
    """Of the model's own sampler: dynamic with at most 1, which is clipping."""

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """eps_hat for the sample, the low-resolution picture on channels 4 to 6, its level as class label."""
        low, level = condition.low_resolution, condition.noise_level
        if low is None or level is None:
            raise InputError("an upsampler needs a low-resolution picture; see `upsampling_condition`")
        if low.shape != x_t.shape:
            raise InputError(
                f"a low-resolution picture of shape {tuple(low.shape)} for a sample of shape "
                f"{tuple(x_t.shape)}; enlarge it to the size of the sample"
            )
        levels = torch.full((len(x_t),), level, device=self.network.device)
        both = torch.cat([x_t, low.to(x_t)], dim=1)
        predicted: Sample = self.network(both, timestep, condition.text, class_labels=levels)
        return predicted[:, :RGB]

    def condition(
        self,
        condition: Condition,
        image: Image,
        settings: LowResolutionSettings,
        *,
        generator: torch.Generator,
    ) -> Condition:
        """`condition` with a noised low-resolution version of `image` ([0, 1], any size) beside its text."""
        low = low_resolution(image, self.network.size, settings)
        eps = torch.randn(low.shape, generator=generator, dtype=low.dtype).to(low.device)
        noised = self.noising.noised(low, eps, settings.level)
        return dataclasses.replace(condition, low_resolution=noised, noise_level=settings.level)


def low_resolution(image: Image, size: int, settings: LowResolutionSettings) -> Sample:
    """`image` in [0, 1] reduced to the base size and enlarged to `size` again, in [-1, 1], without noise.

    InputError for a base size that is larger than the image or does not divide `size`.
    """
    _check_base(settings.base_size, min(image.shape[2:]), size)
    base = (settings.base_size, settings.base_size)
    match settings.form:
        case "nearest":
            low = interpolate(interpolate(image, base, mode="nearest"), (size, size), mode="nearest")
        case "bilinear" | "centred":
            reduced = interpolate(image, base, mode="bilinear", align_corners=False, antialias=True)
            stretched = settings.form == "bilinear"
            low = interpolate(reduced, (size, size), mode="bilinear", align_corners=stretched)
    return 2 * low - 1


def _check_base(base: int, side: int, size: int) -> None:
    if base > side:
        raise InputError(
            f"base_size={base} for a picture whose shorter side is {side} pixels; choose at most {side}"
        )
    if base >= size or size % base:
        raise InputError(
            f"base_size={base} for an upsampler of {size} pixels; choose the size of its base model, a "
            f"smaller divisor of {size} ({size // 4} for a factor of 4)"
        )


def load_base(path: Path, execution: ExecutionSettings = ON_CPU) -> DeepFloydBase:
    """IF-I from a model folder or a lock file; WeightsError, in one sentence, when it is not one."""
    folder = locate(path)
    process = read_process(folder)
    _predicts_noise(folder, process.prediction)
    network = load_network(
        folder, "unet", "UNet2DConditionModel", execution, in_channels=RGB, out_channels=2 * RGB
    )
    return DeepFloydBase(network, process.schedule, process.threshold)


def load_upsampler(path: Path, execution: ExecutionSettings = ON_CPU) -> DeepFloydUpsampler:
    """IF-II from a model folder or a lock file; WeightsError, in one sentence, when it is not one."""
    folder = locate(path)
    process = read_process(folder)
    _predicts_noise(folder, process.prediction)
    noising = read_process(folder, "image_noising_scheduler").schedule
    network = load_network(
        folder,
        "unet",
        "UNet2DConditionModel",
        execution,
        in_channels=2 * RGB,
        out_channels=2 * RGB,
        class_embed_type="timestep",
    )
    return DeepFloydUpsampler(network, process.schedule, noising, process.threshold)


def _predicts_noise(folder: ModelFolder, prediction: str) -> None:
    if prediction != "epsilon":
        raise WeightsError(f"{folder.path} predicts {prediction}; DeepFloyd IF predicts epsilon")
