"""Saving an exhibit: the figure as PDF and PNG, the numbers that it shows as CSV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from castex.files import atomic_path

PAGE_IN = 6.875


def use_style() -> None:
    """Apply castex.mplstyle."""
    plt.style.use(Path(__file__).with_name("castex.mplstyle"))


def save(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Write `figure` to each path (PDF or PNG by its suffix), atomically and without a date inside."""
    for path in map(Path, paths):
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        with atomic_path(path) as partial:
            figure.savefig(partial, metadata=metadata)
    plt.close(figure)
