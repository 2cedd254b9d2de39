"""Textured objects with their prompts, and what share of views is named as asked: teaser and recognition."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from _save import PAGE_IN, plt, save, use_style
from castex.files import read_json
from castex.tally import tidy, write_table
from castex.tally_textures import mean_rows, place_of, recognition_rows

COLUMNS = 6
ASKED = {"accuracy_colour": "colour", "accuracy_material": "material"}
Cell = dict[str, Any]


def load(photographs: Sequence[Path], recognised: Sequence[Path]) -> tuple[pd.DataFrame, list[Cell]]:
    """Tidy rows with their means over subjects and seeds, and the cells of the first seed in order."""
    rows = [row for path in recognised for row in recognition_rows(path)]
    table = tidy([*rows, *mean_rows(rows)])
    cells = list[Cell]()
    for photograph, found in zip(photographs, recognised, strict=True):
        place = place_of(photograph)
        if place["seed"] == place_of(photographs[0])["seed"]:
            with Image.open(photograph) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            cells.append(place | {"prompt": read_json(found)["prompt"], "picture": pixels})
    return table, cells


def draw(table: pd.DataFrame, cells: Sequence[Mapping[str, Any]]) -> Figure:
    """One block of rows per method, `COLUMNS` in a row; prompts above, the judge's verdicts below."""
    use_style()
    methods = list(dict.fromkeys(cell["method"] for cell in cells))
    blocks = [[cell for cell in cells if cell["method"] == method] for method in methods]
    rows = [block[k : k + COLUMNS] for block in blocks for k in range(0, len(block), COLUMNS)]
    columns = max(len(row) for row in rows)
    size = (PAGE_IN, 1.5 * len(rows) * COLUMNS / columns)
    figure, axes = plt.subplots(len(rows), columns, squeeze=False, figsize=size, layout="constrained")
    for places, row in zip(axes, rows, strict=True):
        for place in places:
            place.axis("off")
        for place, cell in zip(places, row, strict=False):
            place.axis("on")
            place.imshow(cell["picture"], interpolation="antialiased")
            place.set_title(cell["prompt"], fontsize=6, pad=2)
            place.set_xlabel(verdict(table, cell), fontsize=5.5, labelpad=1)
            place.set(xticks=[], yticks=[])
            place.spines[:].set_visible(False)
        if len(methods) > 1:
            places[0].set_ylabel(row[0]["method"], fontsize=6.5)
    return figure


def verdict(table: pd.DataFrame, cell: Mapping[str, Any]) -> str:
    """ "colour 100 %, material 88 %": shares of the views that are named as asked."""
    mine = table[
        (table["method"] == cell["method"]) & (table["asset"] == cell["asset"]) & (table["variant"] == "ours")
        & (table["seed"] == cell["seed"])
    ].set_index("metric")["value"]  # fmt: skip
    return ", ".join(f"{word} {mine[name]:.0%}" for name, word in ASKED.items() if name in mine.index)


def make(photographs: Sequence[str], recognised: Sequence[str], output: Any) -> None:
    """The whole exhibit: from the files of the textures to `output.pdf`, `output.png` and `output.csv`."""
    table, cells = load([Path(path) for path in photographs], [Path(path) for path in recognised])
    save(draw(table, cells), [output.pdf, output.png])
    write_table(Path(output.csv), table)
