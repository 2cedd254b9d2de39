"""What the training verbs share: their options, and settings with this sitting's budget and device."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

from castex.settings.base import Settings

Chosen = TypeVar("Chosen", bound=Settings)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every verb that trains on the corpus."""
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the training's settings")
    parser.add_argument("--corpus", type=Path, required=True, help="folder that the rule `corpus` wrote")
    parser.add_argument("--minutes", type=float, help="wall-clock budget of this sitting")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to train")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")


def prepared(arguments: argparse.Namespace, kind: type[Chosen]) -> Chosen:
    """The settings of a file, with the budget and the device of the command line."""
    from castex.files import read_json

    told = read_json(arguments.settings)
    for name in ("minutes", "device"):
        if getattr(arguments, name) is not None:
            told["training"][name] = getattr(arguments, name)
    return kind.model_validate(told)
