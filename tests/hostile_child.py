"""A process of its own for damaged files: two gigabytes of memory, a minute per file, the seed said first.

`python hostile_child.py FOLDER SHARED|- FIRST LAST` prints `seed name outcome` per file and stops at the
first error that is no InputError; a crash or a kill leaves the seed of the culprit as the last line.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

MEMORY_BYTES = 2 * 2**30
SECONDS = 60


def loaded(path: Path) -> None:
    """The first stage that sees a file: loading and repairing."""
    from castex.repair import repaired
    from castex.scene_file import load_scene

    repaired(load_scene(path))


def confine() -> None:
    """No more memory than allowed, for this process and its children."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def run(use: Callable[[Path], None], folder: Path, shared: Path | None, seeds: range) -> None:
    """Damage, use and delete one file per seed; the alarm kills the process when one takes too long."""
    import hostile

    from castex.errors import InputError

    sources = hostile.sources(folder / "sources", shared)
    for seed in seeds:
        source = sources[seed % len(sources)]
        print(seed, source.name, end=" ", flush=True)
        path = hostile.mutated(seed, source, folder)
        signal.alarm(SECONDS)
        try:
            use(path)
            print("used")
        except InputError:
            print("refused")
        signal.alarm(0)
        path.unlink()


if __name__ == "__main__":
    confine()
    base, real, first, last = sys.argv[1:]
    run(loaded, Path(base), None if real == "-" else Path(real), range(int(first), int(last)))
