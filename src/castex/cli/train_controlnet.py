"""Train the mini depth ControlNet within a wall-clock budget; run it again to continue.

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
    parser.add_argument("--codes", type=Path, required=True, help="folder that the rule encode_corpus wrote")
    parser.add_argument("--sd", type=Path, required=True, help="folder of the mini Stable Diffusion")
    parser.add_argument("--minutes", type=float, help="wall-clock budget of this sitting")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.files import fingerprint, read_json
    from castex.settings.training import TrainControlnetSettings
    from castex.training.controlnet import ControlnetRecipe
    from castex.training.corpus_data import read_corpus
    from castex.training.latent_codes import read_codes
    from castex.training.latent_file import load_latent
    from castex.training.sitting import sit
    from castex.training.trainer import Trainer
    from castex.weights import read_sums

    told = read_json(arguments.settings)
    if arguments.minutes is not None:
        told |= {"minutes": arguments.minutes}
    settings, codes = TrainControlnetSettings.model_validate(told), read_codes(arguments.codes)
    depths = read_corpus(arguments.corpus, "models", layers=("depth",))
    recipe = ControlnetRecipe(settings, codes, depths, load_latent(arguments.sd))
    data = fingerprint([codes.pictures.identity, depths.identity, read_sums(arguments.sd)])
    trainer = Trainer(recipe, settings, data=data)

    def export(folder: Path) -> None:
        recipe.export(trainer.averages, folder)

    sit(trainer, arguments.checkpoints, arguments.output, export)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["train_controlnet", *sys.argv[1:]]))
