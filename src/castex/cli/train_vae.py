"""Train the mini autoencoder within a wall-clock budget; run it again to continue.

Writes config.json, diffusion_pytorch_model.safetensors (half precision), SHA256SUMS, loss.csv and
training.json. When the budget of a sitting ends before the last step, the checkpoint stays, nothing is
written, and the exit code says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the training's settings")
    parser.add_argument("--minutes", type=float, help="wall-clock budget of this sitting")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")


def run(arguments: argparse.Namespace) -> None:
    from castex import checkpoint
    from castex.errors import Unfinished
    from castex.files import read_json
    from castex.settings import TrainVaeSettings
    from castex.training.pictures import PictureSource
    from castex.training.vae import Training

    settings = TrainVaeSettings.model_validate(read_json(arguments.settings))
    if arguments.minutes is not None:
        settings = TrainVaeSettings.model_validate(settings.model_dump() | {"minutes": arguments.minutes})
    training = Training(settings)
    if training.resume(arguments.checkpoints):
        print(f"resumed at step {training.step}", file=sys.stderr)
    source = PictureSource(
        crop=settings.crop,
        seed=settings.seed,
        procedural=settings.procedural,
        procedural_share=settings.procedural_share,
    )
    if not training.run(source, arguments.checkpoints):
        raise Unfinished(
            f"the budget of {settings.minutes:g} minutes ended at step {training.step} of {settings.steps}; "
            "run the same command again to continue"
        )
    training.export(source, arguments.output)
    checkpoint.discard(arguments.checkpoints)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["train_vae", *sys.argv[1:]]))
