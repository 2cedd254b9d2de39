"""One arm of the toy experiment on a mesh: known maps in, the maps that a perfect score recovers out.

Writes maps.safetensors, trace.csv, result.json with the scores, and pictures.safetensors: the known and the
recovered object and its albedo. A run that was killed continues where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castex.diffusion.codec import LatentCodec
    from castex.maps import TextureMaps
    from castex.synthesise import Synthesis, Task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file: the settings of the arm")
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--light", type=Path, required=True, help="prefiltered light")
    parser.add_argument("--known", type=Path, required=True, help="maps.safetensors to be recovered")
    parser.add_argument("--vae", type=Path, help="for a latent arm: lock file or folder of the autoencoder")
    parser.add_argument("--arm", required=True, help="name of the arm")
    parser.add_argument("--asset", required=True, help="name of the dressed mesh, for the random streams")
    parser.add_argument("--seed", type=int, default=0, help="seed of shots, noise and initial values")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")


def run(arguments: argparse.Namespace) -> None:
    from castex import checkpoint
    from castex.cli._stage import check_device
    from castex.diffusion import load_codec
    from castex.files import read_json, sha256
    from castex.light import read_light
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.recover import known_maps, recover
    from castex.settings.synthesis import StageSettings
    from castex.synthesise import Task

    settings = StageSettings.model_validate(read_json(arguments.settings))
    check_device(settings.execution.device)
    codec = None if arguments.vae is None else load_codec(arguments.vae, device=settings.execution.device)
    task = Task(
        mesh=read_mesh(arguments.mesh),
        light=read_light(arguments.light),
        settings=settings,
        seed=arguments.seed,
        asset=arguments.asset,
        identity={
            "mesh": sha256(arguments.mesh),
            "light": sha256(arguments.light),
            "known": sha256(arguments.known),
            "codec": None if codec is None else codec.identity,
        },
    )
    known = known_maps(read_maps(arguments.known), settings)
    checkpoints = arguments.output / ".checkpoints"
    made = recover(task, known, codec, checkpoints=checkpoints)
    _write(arguments, task, made, known, codec)
    checkpoint.discard(checkpoints)


def _write(
    arguments: argparse.Namespace,
    task: Task,
    made: Synthesis,
    known: TextureMaps,
    codec: LatentCodec | None,
) -> None:
    from castex.files import json_text, tensor_bytes, write_together
    from castex.maps_file import maps_bytes
    from castex.recover import recovered_pictures, recovery_scores
    from castex.synthesise import trace_rows

    scores = recovery_scores(task, made.maps, known, codec)
    record = {
        "arm": arguments.arm,
        "asset": arguments.asset,
        "seed": task.seed,
        "kind": task.settings.kind,
        "parameterisation": task.settings.texture.kind,
        "steps": task.settings.adam.steps,
        "seconds": round(made.seconds, 3),
        "scores": scores,
        "identity": task.identity,
        "settings": task.settings.model_dump(mode="json"),
    }
    pictures = recovered_pictures(task, made.maps, known, codec)
    write_together(
        arguments.output,
        {
            "maps.safetensors": maps_bytes(made.maps),
            "pictures.safetensors": tensor_bytes(pictures),
            "trace.csv": trace_rows(task.settings, made.trace).encode(),
            "result.json": json_text(record).encode(),
        },
    )
    for name, value in scores.items():
        print(f"{name:24} {value:7.2f} dB")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["recover", *sys.argv[1:]]))
