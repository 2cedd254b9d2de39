"""Where anchoring matters: drift without it over drift with it, by noise level and guidance scale."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.errors import IncompleteResults
from castex.files import read_json
from castex.tally import tidy, write_table
from castex.tally_textures import place_of

if TYPE_CHECKING:
    from snakemake.script import snakemake

Cell = tuple[int, float]
"""Noise level of the condition, and guidance scale."""


def load(drifts: Sequence[Path], results: Sequence[Path]) -> tuple[pd.DataFrame, dict[Cell, float]]:
    """Tidy rows of all runs, and the geometric mean of the ratio of drifts in each cell.

    IncompleteResults where an arm lacks the run that the other one has.
    """
    rows, found = list[dict[str, Any]](), dict[Cell, dict[str, dict[Any, float]]]()
    for drift, result in zip(drifts, results, strict=True):
        place, record = place_of(drift), read_json(drift)
        cell, value = cell_of(read_json(result)["settings"]), float(record["rows"][-1]["drift"])
        rows.append(place | {"variant": "ours", "metric": "drift", "value": value})
        arms = found.setdefault(cell, {"anchored": {}, "current": {}})
        arms[record["source"]][place["asset"], place["seed"]] = value
    ratios = {cell: ratio_of(cell, arms) for cell, arms in sorted(found.items())}
    common = {"method": "unanchored/anchored", "variant": "ours", "asset": "all", "seed": None}
    rows += [
        common | {"metric": f"drift_ratio_level_{level}_scale_{scale:g}", "value": value}
        for (level, scale), value in ratios.items()
    ]
    return tidy(rows), ratios


def cell_of(settings: Mapping[str, Any]) -> Cell:
    """Where a run stands on the map."""
    level = settings["upsampling"]["low_resolution"]["level"]
    return int(level), float(settings["distil"]["guidance_scale"])


def ratio_of(cell: Cell, arms: Mapping[str, Mapping[Any, float]]) -> float:
    """Geometric mean over textures and seeds."""
    if arms["anchored"].keys() != arms["current"].keys():
        raise IncompleteResults(
            f"level {cell[0]}, scale {cell[1]:g}: the arms were not run on the same textures"
        )
    logs = [math.log(arms["current"][key] / arms["anchored"][key]) for key in arms["anchored"]]
    return math.exp(sum(logs) / len(logs))


def draw(ratios: Mapping[Cell, float]) -> Figure:
    """A field per cell with its number; white is 1, red where the unanchored arm drifts further."""
    use_style()
    levels, scales = (sorted({cell[k] for cell in ratios}) for k in range(2))
    grid = np.array([[ratios.get((int(level), scale), np.nan) for scale in scales] for level in levels])
    figure, axes = plt.subplots(figsize=(PAGE_IN / 2, 2.2))
    reach = max(float(np.nanmax(np.abs(np.log2(grid)))), 0.5)
    axes.imshow(np.log2(grid), cmap="RdBu_r", norm=TwoSlopeNorm(0, -reach, reach), aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9)
    axes.set(
        xticks=range(len(scales)), xticklabels=[f"{scale:g}" for scale in scales], xlabel="guidance scale",
        yticks=range(len(levels)), yticklabels=[str(level) for level in levels],
        ylabel="noise level of the condition",
    )  # fmt: skip
    axes.set_title("drift: unanchored / anchored", fontsize=8)
    return figure


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        table, mapped = load(
            [Path(path) for path in snakemake.input.drifts], [Path(path) for path in snakemake.input.results]
        )
        save(draw(mapped), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), table)
