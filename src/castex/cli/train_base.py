"""Train a mini stage I within a wall-clock budget; run it again to continue.

Writes the folder of an IFPipeline (half precision), SHA256SUMS and training.json. When the budget of a
sitting ends before the last step, the checkpoint stays, nothing is written, and the exit code says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from castex.cli._training import add_training_arguments

    add_training_arguments(parser)
    parser.add_argument("--text", type=Path, required=True, help="folder of `train_t5`")
    parser.add_argument("--start", type=Path, help="folder of the stage I that the settings name as start")


def run(arguments: argparse.Namespace) -> None:
    from castex.cli._training import prepared
    from castex.errors import InputError
    from castex.settings.training import TrainBaseSettings
    from castex.training.base import BaseRecipe
    from castex.training.cascade_file import load_text, load_unet
    from castex.training.corpus_data import read_corpus
    from castex.training.sitting import sit
    from castex.training.trainer import Trainer
    from castex.weights import locate

    settings = prepared(arguments, TrainBaseSettings)
    if (settings.start is None) != (arguments.start is None):
        raise InputError(
            f"the settings say start={settings.start}; "
            + ("leave out --start" if settings.start is None else "give its folder with --start")
        )
    pictures = read_corpus(arguments.corpus, "models", size=settings.size, resize="bilinear")
    teacher = None if arguments.start is None else load_unet(arguments.start)
    recipe = BaseRecipe(arguments.output.name, settings, pictures, load_text(arguments.text), teacher)
    data = {
        "corpus": pictures.identity,
        "shape": settings.model_dump(mode="json", exclude={"training", "start"}),
        "text": locate(arguments.text).files,
    }
    if arguments.start is not None:
        data["start"] = locate(arguments.start).files
    trainer = Trainer(recipe, settings.training, data=data)
    sit(
        trainer,
        arguments.checkpoints,
        arguments.output,
        lambda folder: recipe.export(trainer.averages, folder),
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["train_base", *sys.argv[1:]]))
