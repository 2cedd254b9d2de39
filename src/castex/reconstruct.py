"""The toy experiment of Figure 2: recover a picture x* from the score of a point mass at x*.

Pixel space descends on ||g(theta) - x*||^2, latent space on ||enc(g(theta)) - enc(x*)||^2, both through
sampled score distillation; theta is a picture (explicit) or a network's weights (deep image prior).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from castex.analytic import PointMassPredictor
from castex.errors import InputError
from castex.files import fingerprint
from castex.guidance import DistilledScore, LatentGuidance, PixelGuidance
from castex.optimise import Observation, Run, optimise
from castex.protocols import Codec, Guidance, Image, Texture
from castex.rng import generator
from castex.schedule import NoiseSchedule, scaled_linear, squared_cosine
from castex.score import psnr
from castex.settings import ReconstructSettings
from castex.texture import ExplicitImage, NeuralImage, SkipNetwork


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What one arm ended with; `decoded` is dec(enc(theta)), present in latent space alone."""

    theta: Image
    decoded: Image | None
    trace: list[tuple[int, Observation]]
    first_step: int
    seconds: float


def reconstruct(
    target: Image, settings: ReconstructSettings, codec: Codec | None, *, seed: int, checkpoints: Path
) -> Reconstruction:
    """Optimise one arm against `target` (`1 3 size size` in [0, 1]); resumes from `checkpoints`."""
    if (settings.space == "latent") != (codec is not None):
        raise InputError(f"space={settings.space!r} needs {'an' if codec is None else 'no'} autoencoder")
    target = target.to(settings.device)
    start = time.monotonic()
    run: Run[Image, None] = Run(
        stage=f"reconstruct {settings.space} {settings.parameterisation}",
        texture=_texture(settings, seed),
        render=_as_it_is,
        guidance=_guidance(target, settings, codec),
        sample_shot=_no_shot,
        observe=lambda image: observe(image, target, codec),
        settings=settings.optimise,
        shots=generator(seed, "toy", "shot"),
        noise=generator(seed, "toy", "noise"),
    )
    first = optimise(run, checkpoints=checkpoints, fingerprint=_fingerprint(target, settings, codec, seed))
    with torch.no_grad():
        theta = run.texture.maps().detach()
        decoded = None if codec is None else codec.decode(codec.encode(theta))
    return Reconstruction(theta, decoded, run.trace, first, time.monotonic() - start)


def observe(image: Image, target: Image, codec: Codec | None) -> Observation:
    """PSNR of theta, and of its decoded version where there is a codec."""
    seen = {"psnr_theta": psnr(image, target)}
    if codec is not None:
        seen["psnr_decoded"] = psnr(codec.decode(codec.encode(image)), target)
    return seen


def _texture(settings: ReconstructSettings, seed: int) -> Texture[Image]:
    stream = generator(seed, "toy", "initial")
    match settings.parameterisation:
        case "explicit":
            return ExplicitImage(_initial(settings, stream)).to(settings.device)
        case "dip":
            network = SkipNetwork(settings.dip.width, settings.dip.scales, generator=stream)
            return NeuralImage(network, settings.size, generator=stream).to(settings.device)
        case _:
            raise ValueError(f"unknown parameterisation {settings.parameterisation!r}")


def _initial(settings: ReconstructSettings, stream: torch.Generator) -> Image:
    shape = (1, 3, settings.size, settings.size)
    match settings.initial:
        case "gaussian":
            return ((torch.randn(shape, generator=stream) + 1) / 2).clamp(0, 1)
        case "uniform":
            return torch.rand(shape, generator=stream)
        case "grey":
            return torch.full(shape, 0.5)
        case _:
            raise ValueError(f"unknown initial value {settings.initial!r}")


def _guidance(target: Image, settings: ReconstructSettings, codec: Codec | None) -> Guidance[None]:
    if codec is None:
        # The schedules are those of the models that the toy stands for: IF in pixels, SD in latents.
        return PixelGuidance(_point_mass(2 * target - 1, squared_cosine(), settings))
    with torch.no_grad():
        code = codec.encode(target)
    return LatentGuidance(_point_mass(code, scaled_linear(), settings), codec, settings.decoder_pull)


def _point_mass(
    target: torch.Tensor, schedule: NoiseSchedule, settings: ReconstructSettings
) -> DistilledScore:
    predictor = PointMassPredictor(target, schedule)
    return DistilledScore(predictor, schedule, settings.timestep_min, settings.timestep_max)


def _as_it_is(maps: Image, shot: None) -> Image:
    return maps


def _no_shot(stream: torch.Generator) -> None:
    return None


def _fingerprint(target: Image, settings: ReconstructSettings, codec: Codec | None, seed: int) -> str:
    pixels = (target * 255).round().to(torch.uint8).cpu().numpy().tobytes()
    identity = None if codec is None else codec.identity
    return fingerprint([settings.model_dump(mode="json"), seed, identity, pixels.hex()])
