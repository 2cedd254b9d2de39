"""The cycles of the mini CLIP's training, one after the other, each with checkpoints of its own."""

from __future__ import annotations

from pathlib import Path

from castex.files import fingerprint, read_json, write_json
from castex.settings.training import TrainClipSettings
from castex.training.clip import ClipRecipe
from castex.training.corpus_data import Pictures
from castex.training.sitting import TRAINING, sit
from castex.training.trainer import Trainer
from castex.weights import ModelFolder, locate

FIRST = "first"
"""Where `training.json` tells of the first cycle."""


def train_clip(
    settings: TrainClipSettings, pictures: Pictures, surface: Pictures, checkpoints: Path, output: Path
) -> None:
    """Run one sitting; Unfinished when its budget ends before the last step of the last cycle.

    A finished first cycle is a model folder beside the checkpoints, which the next sitting starts from.
    """
    start = None
    if settings.first is not None:
        minutes = {"minutes": settings.training.minutes, "device": settings.training.device}
        loop = settings.first.training.model_copy(update=minutes)
        first = settings.cycle(settings.first.model_copy(update={"training": loop}))
        trainer, recipe = _trainer(first, pictures, surface, None)
        folder = checkpoints.with_name(f"{checkpoints.name}-first") / trainer.identity[:12]
        if not folder.exists():
            sit(trainer, checkpoints, folder, lambda path: recipe.export(trainer.averages, path))
        start = locate(folder)
    last, final = _trainer(settings.cycle(settings), pictures, surface, start)
    sit(last, checkpoints, output, lambda path: final.export(last.averages, path))
    if start is not None:
        told = read_json(output / TRAINING)
        write_json(output / TRAINING, {**told, FIRST: read_json(start.path / TRAINING)})


def _trainer(
    settings: TrainClipSettings, pictures: Pictures, surface: Pictures, start: ModelFolder | None
) -> tuple[Trainer, ClipRecipe]:
    recipe = ClipRecipe(settings, pictures, surface, start)
    shape = settings.model_dump(mode="json", exclude={"training", "first"})
    begun = None if start is None else start.files
    data = fingerprint([pictures.identity, surface.identity, shape, begun])
    return Trainer(recipe, settings.training, data=data), recipe
