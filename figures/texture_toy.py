"""Figure 2 on a mesh: known texture maps, and what a perfect score recovers of them in four ways."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from _methods import STYLES
from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.errors import InputError
from castex.files import read_json
from castex.tally import recovery_rows, tidy, write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

ROWS = {"explicit": "explicit", "dip": "DIP"}
# Space, picture, what its column is called, and the score below it.
COLUMNS = (
    ("pixel", "found_view", "pixel space", "psnr_views"),
    ("latent", "found_view", "latent space", "psnr_views"),
    ("latent", "found_decoded", "latent, decoded", "psnr_views_decoded"),
    ("pixel", "found_albedo", "pixel space", "psnr_albedo"),
    ("latent", "found_albedo", "latent space", "psnr_albedo"),
)
# Places of the columns: the known render and the known albedo each stand before what is compared with them.
PLACES = (1, 2, 3, 5, 6)


def load(results: Sequence[Path]) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Tidy rows of all runs, and the pictures of the first dress and seed by method.

    InputError unless all four methods are there.
    """
    records = [read_json(path) for path in results]
    first = records[0]["asset"], records[0]["seed"]
    pictures = {
        record["arm"]: load_file(path.parent / "pictures.safetensors")
        for record, path in zip(records, results, strict=True)
        if (record["asset"], record["seed"]) == first
    }
    if pictures.keys() != STYLES.keys():
        raise InputError(
            f"the figure shows the arms {', '.join(STYLES)}, but got {', '.join(pictures)}; name these under "
            "texture_toy"
        )
    return tidy(row for path in results for row in recovery_rows(path)), pictures


def draw(scores: pd.DataFrame, pictures: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Renders on the left and albedo on the right, each beside the known one; PSNR below."""
    use_style()
    figure, cells = plt.subplots(2, 7, figsize=(PAGE_IN, 2.5), gridspec_kw={"wspace": 0.04, "hspace": 0.02})
    known = pictures["pixel-explicit"]
    for column, name, title in ((0, "known_view", "known render"), (4, "known_albedo", "known albedo")):
        _show(cells[0][column], known[name], title, "")
        cells[1][column].axis("off")
    for row, (parameterisation, label) in enumerate(ROWS.items()):
        for place, (space, name, title, metric) in zip(PLACES, COLUMNS, strict=True):
            method = f"{space}-{parameterisation}"
            below = f"{mean(scores, method, metric):.1f} dB"
            _show(cells[row][place], pictures[method][name], title if row == 0 else "", below)
        cells[row][1].set_ylabel(label)
    ceiling = mean(scores, "latent-explicit", "psnr_views_ceiling")
    start = mean(scores, "pixel-explicit", "psnr_views", "start")
    figure.supxlabel(
        f"below: PSNR of eight unseen views, or of the albedo that they show; grey start {start:.1f} dB, "
        f"autoencoder's ceiling {ceiling:.1f} dB",
        fontsize=6.5,
    )
    return figure


def mean(scores: pd.DataFrame, method: str, metric: str, variant: str = "ours") -> float:
    """Over all dresses and seeds."""
    chosen = scores[
        (scores["method"] == method) & (scores["metric"] == metric) & (scores["variant"] == variant)
    ]
    return float(chosen["value"].mean())


def _show(axes: Axes, picture: Any, title: str, below: str) -> None:
    axes.imshow(np.clip(picture[0].transpose(1, 2, 0), 0, 1), interpolation="antialiased")
    axes.set_title(title, fontsize=7)
    axes.set_xlabel(below, fontsize=7, labelpad=2)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        loaded, shown = load([Path(path) for path in snakemake.input.results])
        save(draw(loaded, shown), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), loaded)
