"""Continue an autoencoder's training on renders within a wall-clock budget; run it again to continue.

Writes config.json, diffusion_pytorch_model.safetensors (half precision), SHA256SUMS and training.json. When
the budget of a sitting ends before the last step, the checkpoint stays, nothing is written, and the exit
code says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the training's settings")
    parser.add_argument("--corpus", type=Path, required=True, help="folder that the rule corpus wrote")
    parser.add_argument("--vae", type=Path, required=True, help="folder of the autoencoder to start from")
    parser.add_argument("--minutes", type=float, help="wall-clock budget of this sitting")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.files import read_json
    from castex.settings.training import TrainSdVaeSettings
    from castex.training.corpus_data import read_corpus
    from castex.training.latent_vae import SdVaeRecipe
    from castex.training.sitting import sit
    from castex.training.trainer import Trainer
    from castex.weights import locate

    told = read_json(arguments.settings)
    if arguments.minutes is not None:
        told |= {"minutes": arguments.minutes}
    settings = TrainSdVaeSettings.model_validate(told)
    recipe = SdVaeRecipe(settings, locate(arguments.vae), read_corpus(arguments.corpus, "models"))
    trainer = Trainer(recipe, settings, data=recipe.identity)

    def export(folder: Path) -> None:
        recipe.export(trainer.averages["vae"], folder)

    sit(trainer, arguments.checkpoints, arguments.output, export)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["train_sd_vae", *sys.argv[1:]]))
