"""Train the mini Stable Diffusion within a wall-clock budget; run it again to continue.

Writes a whole model folder (UNet, text encoder, tokenizer, scheduler, and the autoencoder that made the
codes), SHA256SUMS and training.json. When the budget of a sitting ends before the last step, the checkpoint
stays, nothing is written, and the exit code says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the training's settings")
    parser.add_argument("--codes", type=Path, required=True, help="folder that the rule encode_corpus wrote")
    parser.add_argument(
        "--vae", type=Path, required=True, help="folder of the autoencoder that made the codes"
    )
    parser.add_argument("--minutes", type=float, help="wall-clock budget of this sitting")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.errors import InputError
    from castex.files import read_json
    from castex.settings.training import TrainSdSettings
    from castex.training.latent import LatentRecipe
    from castex.training.latent_codes import read_codes
    from castex.training.sitting import sit
    from castex.training.trainer import Trainer
    from castex.weights import locate

    told = read_json(arguments.settings)
    if arguments.minutes is not None:
        told |= {"minutes": arguments.minutes}
    settings, codes = TrainSdSettings.model_validate(told), read_codes(arguments.codes)
    vae = locate(arguments.vae)
    if codes.vae != vae.files:
        raise InputError(f"{arguments.codes} was not made by {arguments.vae}; run `encode_corpus` again")
    recipe = LatentRecipe(settings, codes)
    trainer = Trainer(recipe, settings, data=codes.pictures.identity)

    def export(folder: Path) -> None:
        recipe.export(trainer.averages, vae, folder)

    sit(trainer, arguments.checkpoints, arguments.output, export)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["train_sd", *sys.argv[1:]]))
