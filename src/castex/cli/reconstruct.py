"""Recover a picture from the score of a point mass at it: one arm of the toy experiment of Figure 2.

Writes theta.png, target.png, decoded.png (latent space), pictures.safetensors, trace.csv and result.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from castex.diffusion import LatentCodec
    from castex.protocols import Image
    from castex.reconstruct import Reconstruction
    from castex.settings import ReconstructSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", type=Path, required=True, help="picture to recover")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--space", choices=("pixel", "latent"), help="where the diffusion model lives")
    parser.add_argument("--parameterisation", choices=("explicit", "dip"), help="what is optimised")
    parser.add_argument("--settings", type=Path, help="settings of a variant, in place of a scale's defaults")
    parser.add_argument("--variant", help="name of the variant, for tables (default: space-parameterisation)")
    parser.add_argument("--scale", default="mini", help="take the defaults of this scale (mini, paper)")
    parser.add_argument("--size", type=int, help="side of the square picture in pixels")
    parser.add_argument("--steps", type=int, help="optimiser steps")
    parser.add_argument("--learning-rate", type=float, help="Adam's learning rate")
    parser.add_argument("--seed", type=int, default=0, help="seed of initial values, timesteps and noise")
    parser.add_argument("--vae", type=Path, help="autoencoder: a model folder or a lock file of `fetch`")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to run")


def run(arguments: argparse.Namespace) -> None:
    from castex import checkpoint
    from castex.picture import read_picture, square
    from castex.reconstruct import reconstruct

    settings = resolved_settings(arguments)
    target = square(read_picture(arguments.image), settings.size)
    codec = _codec(arguments, settings)
    checkpoints = arguments.output / ".checkpoints"
    result = reconstruct(target, settings, codec, seed=arguments.seed, checkpoints=checkpoints)
    if result.first_step:
        print(f"resumed at step {result.first_step}", file=sys.stderr)
    _write(arguments, settings, target, codec, result)
    checkpoint.discard(checkpoints)


def resolved_settings(arguments: argparse.Namespace) -> ReconstructSettings:
    """The variant's settings with what the command line overrides; unusable values raise."""
    import torch

    from castex.config import load_config
    from castex.errors import InputError
    from castex.files import read_json
    from castex.settings import ReconstructSettings

    if arguments.settings is not None:
        base = ReconstructSettings.model_validate(read_json(arguments.settings))
    elif arguments.space is None or arguments.parameterisation is None:
        raise InputError("give --space and --parameterisation, or a --settings file")
    else:
        base = load_config(arguments.scale).reconstruct[f"{arguments.space}-{arguments.parameterisation}"]
    values: dict[str, Any] = base.model_dump()
    for name in ("space", "parameterisation", "size", "device"):
        if getattr(arguments, name) is not None:
            values[name] = getattr(arguments, name)
    for name in ("steps", "learning_rate"):
        if getattr(arguments, name) is not None:
            values["optimise"][name] = getattr(arguments, name)
    settings = ReconstructSettings.model_validate(values)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device='cuda', but torch finds no CUDA device here; use --device cpu")
    return settings


def _codec(arguments: argparse.Namespace, settings: ReconstructSettings) -> LatentCodec | None:
    if settings.space == "pixel":
        return None
    from castex.diffusion import load_codec
    from castex.errors import InputError

    codec = load_codec(arguments.vae or default_vae(arguments.scale), device=settings.device)
    if settings.size % codec.stride:
        raise InputError(
            f"size={settings.size} is no multiple of {codec.stride}, the stride of the autoencoder; "
            f"use {max(settings.size // codec.stride, 1) * codec.stride}"
        )
    return codec


def default_vae(scale: str) -> Path:
    """The folder of a scale's autoencoder; InputError says how to bring it when it is not there."""
    from castex.config import checkout, load_config
    from castex.errors import InputError
    from castex.fetch.models import model_folder

    config = load_config(scale)
    folder = checkout() / model_folder(config.models["vae"], Path(config.cache))
    if not folder.is_dir():
        overlay = "" if scale == "mini" else f" --configfile config/{scale}.yaml"
        raise InputError(
            f"the autoencoder of scale {scale!r} is not at {folder}; "
            f"run `snakemake --cores 1 fetch_all{overlay}` in the checkout, or give --vae FOLDER"
        )
    return folder


def _write(
    arguments: argparse.Namespace,
    settings: ReconstructSettings,
    target: Image,
    codec: LatentCodec | None,
    result: Reconstruction,
) -> None:
    """All files of the result, or none of them."""
    from castex.files import json_text, tensor_bytes, write_together
    from castex.picture import png_bytes

    pictures = {"target": target, "theta": result.theta}
    if codec is not None and result.decoded is not None:
        pictures |= {"decoded": result.decoded, "ceiling": _round_trip(codec, target, settings.device)}
    names = sorted(result.trace[0][1])
    rows = [",".join([str(step), *(repr(seen[name]) for name in names)]) for step, seen in result.trace]
    contents = {f"{name}.png": png_bytes(picture) for name, picture in pictures.items()}
    contents["pictures.safetensors"] = tensor_bytes(pictures)
    contents["trace.csv"] = ("\n".join([",".join(["step", *names]), *rows]) + "\n").encode()
    contents["result.json"] = json_text(_record(arguments, settings, target, codec, result)).encode()
    write_together(arguments.output, contents)


def _record(
    arguments: argparse.Namespace,
    settings: ReconstructSettings,
    target: Image,
    codec: LatentCodec | None,
    result: Reconstruction,
) -> dict[str, Any]:
    import torch

    from castex import __version__
    from castex.files import sha256
    from castex.score import psnr

    record: dict[str, Any] = {
        "variant": arguments.variant or f"{settings.space}-{settings.parameterisation}",
        "psnr_theta": psnr(result.theta, target),
        "steps": settings.optimise.steps,
        "resumed_at": result.first_step,
        "seconds": round(result.seconds, 3),
        "seed": arguments.seed,
        "threads": torch.get_num_threads(),
        "image": {"name": arguments.image.name, "sha256": sha256(arguments.image)},
        "versions": {"castex": __version__, "torch": torch.__version__},
        "settings": settings.model_dump(mode="json"),
    }
    if codec is not None and result.decoded is not None:
        record["psnr_decoded"] = psnr(result.decoded, target)
        record["psnr_ceiling"] = psnr(_round_trip(codec, target, settings.device), target)
        record["code_values"] = codec.channels * (settings.size // codec.stride) ** 2
        record["vae"] = {"parameters": codec.parameters, "files": codec.files}
    return record


def _round_trip(codec: LatentCodec, picture: Image, device: str) -> Image:
    """dec(enc(picture)): the best that the autoencoder lets any latent method show."""
    import torch

    with torch.no_grad():
        return codec.decode(codec.encode(picture.to(device)))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["reconstruct", *sys.argv[1:]]))
