"""Train the mini T5 encoder on sentences of the grammar: a minute or two.

Writes text_encoder/ and tokenizer/, SHA256SUMS and training.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the training's settings")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.files import read_json
    from castex.settings.training import TrainingSettings
    from castex.training.sitting import sit
    from castex.training.t5 import grammar_words
    from castex.training.text import TextRecipe
    from castex.training.trainer import Trainer

    settings = TrainingSettings.model_validate(read_json(arguments.settings))
    recipe = TextRecipe(settings)
    trainer = Trainer(recipe, settings, data={"corpus": "none", "words": grammar_words()})
    sit(
        trainer,
        arguments.checkpoints,
        arguments.output,
        lambda folder: recipe.export(trainer.averages, folder),
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["train_t5", *sys.argv[1:]]))
