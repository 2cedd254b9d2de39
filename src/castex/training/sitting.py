"""One sitting of a training: continue, train until the budget ends, write the model when it is finished."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from castex.checkpoint import discard
from castex.errors import Unfinished
from castex.files import write_json
from castex.training.trainer import Trainer
from castex.weights import write_sums

TRAINING = "training.json"


def sit(trainer: Trainer, checkpoints: Path, output: Path, export: Callable[[Path], None]) -> None:
    """Run one sitting; `export` writes the averaged networks into the folder that it is given.

    Raises Unfinished, and writes nothing but checkpoints, when the budget ends first.
    """
    # A folder per identity: other settings start anew and overwrite nothing.
    own = checkpoints / trainer.identity[:12]
    if trainer.resume(own):
        print(f"resumed at step {trainer.step}", file=sys.stderr)
    elif others := sorted(path.name for path in checkpoints.glob("*") if path.is_dir() and path != own):
        print(f"starting anew; {checkpoints} keeps trainings of other settings: {others}", file=sys.stderr)
    if not trainer.run(own):
        settings = trainer.settings
        raise Unfinished(
            f"the budget of {settings.minutes:g} minutes ended at step {trainer.step} of {settings.steps}; "
            "run the same command again to continue"
        )
    write_model(output, export)
    write_json(output / TRAINING, trainer.record())
    discard(own)
    with suppress(OSError):  # It keeps other trainings.
        checkpoints.rmdir()


def write_model(output: Path, export: Callable[[Path], None]) -> None:
    """Let `export` fill an empty folder, list its files with their hashes, and put it at `output`.

    `output` is replaced as a whole: no file of an older model stays.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        export(folder)
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        write_sums(folder, names)
        shutil.rmtree(output, ignore_errors=True)
        folder.rename(output)
