"""What each choice of the method is worth: a picture per arm, and six numbers below it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.tally import tidy, write_table
from castex.tally_textures import appraisal_rows, mean_rows, place_of, recognition_rows

if TYPE_CHECKING:
    from snakemake.script import snakemake

COLUMNS = 4
PREFIX = "ablation-"
# Metric, what it is called, its format.
LINES = (
    ("accuracy_colour", "colour", "{:.0%}"),
    ("accuracy_material", "material", "{:.0%}"),
    ("clip_score", "CLIP", "{:.0f}"),
    ("feature_distance", "features", "{:.2f}"),
    ("seam_excess", "seams", "{:.3f}"),
    ("baked_light", "light", "{:.0%}"),
)


def load(
    photographs: Sequence[Path], recognised: Sequence[Path], appraised: Sequence[Path]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Tidy rows with means over subjects and seeds, and the first photograph of each arm, in order."""
    rows = [row for path in recognised for row in recognition_rows(path)]
    rows += [row for path in appraised for row in appraisal_rows(path)]
    pictures = dict[str, Any]()
    for path in photographs:
        if (method := place_of(path)["method"]) not in pictures:
            with Image.open(path) as picture:
                pictures[method] = np.asarray(picture.convert("RGB"))
    return tidy([*rows, *mean_rows(rows)]), pictures


def draw(table: pd.DataFrame, pictures: Mapping[str, Any]) -> Figure:
    """Cells in rows of `COLUMNS`; numbers are means over subjects and seeds."""
    use_style()
    means = table[(table["asset"] == "all") & (table["variant"] == "ours")]
    numbers = means.set_index(["method", "metric"])["value"]
    rows = -(-len(pictures) // COLUMNS)
    figure, axes = plt.subplots(
        rows,
        COLUMNS,
        squeeze=False,
        figsize=(PAGE_IN, 2.5 * rows),
        gridspec_kw={"wspace": 0.1, "hspace": 0.6, "left": 0.02, "right": 0.98, "top": 0.94, "bottom": 0.16},
    )
    # The lines below the pictures are taller than what constrained layout gives way to. Said here and not
    # above: saving a PDF brings the style's layout back to a figure that never had one (matplotlib 3.11).
    figure.set_layout_engine("none")
    for cell in axes.flat:
        cell.axis("off")
    for cell, (method, picture) in zip(axes.flat, pictures.items(), strict=False):
        cell.axis("on")
        cell.imshow(picture, interpolation="antialiased")
        cell.set_title(method.removeprefix(PREFIX).replace("-", " "), fontsize=7, pad=3)
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
        text = [f"{word} {form.format(numbers[method, metric])}" for metric, word, form in LINES]
        cell.set_xlabel("\n".join(text), fontsize=5.5, labelpad=2, linespacing=1.25)
    return figure


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        loaded, shown = load(
            *(
                [Path(path) for path in snakemake.input[name]]
                for name in ("photographs", "recognised", "appraised")
            )
        )
        save(draw(loaded, shown), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), loaded)
