"""Train the mini CLIP on the judge's half of the corpus; run it again to continue.

Writes a whole CLIP folder: config.json, model.safetensors (half precision), tokenizer and image processor,
SHA256SUMS and training.json. When the budget of a sitting ends before the last step, the checkpoint stays,
nothing is written, and the exit code says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from castex.cli._training import add_training_arguments

    add_training_arguments(parser)
    parser.add_argument("--judge-corpus", type=Path, required=True, help="folder of the judge's own pictures")


def run(arguments: argparse.Namespace) -> None:
    from castex.cli._training import prepared
    from castex.files import fingerprint
    from castex.settings.training import TrainClipSettings
    from castex.training.clip import SURFACE, ClipRecipe, joined
    from castex.training.corpus_data import read_corpus
    from castex.training.sitting import sit
    from castex.training.trainer import Trainer

    settings = prepared(arguments, TrainClipSettings)
    sources = (arguments.corpus, "judge"), (arguments.judge_corpus, "both")
    pictures = joined(*(read_corpus(*source, size=settings.size).textured() for source in sources))
    places = settings.size // settings.patch
    surface = joined(*(read_corpus(*source, layers=SURFACE, size=places).textured() for source in sources))
    recipe = ClipRecipe(settings, pictures, surface)
    shape = settings.model_dump(mode="json", exclude={"training"})
    data = fingerprint([pictures.identity, surface.identity, shape])
    trainer = Trainer(recipe, settings.training, data=data)
    sit(
        trainer,
        arguments.checkpoints,
        arguments.output,
        lambda folder: recipe.export(trainer.averages, folder),
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["train_clip", *sys.argv[1:]]))
