"""Figure 3: the same maps continued with an anchored and with an unanchored condition, over the steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.errors import InputError
from castex.files import read_json
from castex.tally import tidy, write_table
from castex.tally_textures import drift_rows, paired_ratio_rows, place_of, recognition_rows, theory_rows

if TYPE_CHECKING:
    from snakemake.script import snakemake

ARMS = {"anchored": "anchored\n(stage-I render)", "unanchored": "unanchored\n(current render)"}
COLOURS = {"anchored": "C0", "unanchored": "C3"}
SHOWN = 4
"""Pictures of a row between the start and the material."""


def load(
    drifts: Sequence[Path], recognised: Sequence[Path], theory: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Tidy rows, paired intervals among them, and what the figure shows: curves, pictures, controls.

    InputError unless both arms are there.
    """
    places = [place_of(path) for path in drifts]
    if {place["method"] for place in places} != set(ARMS):
        raise InputError(f"the figure compares the methods {', '.join(ARMS)}; name these under textures")
    rows = [row for path in drifts for row in drift_rows(path)]
    rows += [row for path in recognised for row in recognition_rows(path)]
    rows += paired_ratio_rows(rows, "drift", "unanchored", "anchored")
    rows += paired_ratio_rows(rows, "detail", "unanchored", "anchored")
    rows += theory_rows(theory)
    records = [read_json(path) for path in drifts]
    first = places[0]["asset"], places[0]["seed"]
    return tidy(rows), {
        "theory": read_json(theory)["covered"],
        "curves": {arm: curves(records, places, arm) for arm in ARMS},
        "controls": pd.DataFrame([record["controls"] for record in records]).mean().to_dict(),
        "pictures": {
            place["method"]: load_file(path.with_suffix(".safetensors"))
            for path, place in zip(drifts, places, strict=True)
            if (place["asset"], place["seed"]) == first
        },
    }


def curves(records: Sequence[Any], places: Sequence[Mapping[str, Any]], arm: str) -> pd.DataFrame:
    """Steps by asset and seed: `step`, `drift`, `detail` of one arm."""
    frames = [
        pd.DataFrame(record["rows"]).assign(run=f"{place['asset']} {place['seed']}")
        for record, place in zip(records, places, strict=True)
        if place["method"] == arm
    ]
    return pd.concat(frames, ignore_index=True)


def draw(scores: pd.DataFrame, shown: Mapping[str, Any]) -> Figure:
    """Two rows of views over the steps, and below them drift and detail with their spread."""
    use_style()
    figure = plt.figure(figsize=(PAGE_IN, 4.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    steps = chosen_steps(shown["pictures"]["anchored"])
    cells = above.subplots(2, len(steps) + 1)
    for row, (arm, label) in enumerate(ARMS.items()):
        pictures = shown["pictures"][arm]
        for column, name in enumerate([*steps, "truth"]):
            title = "the material" if name == "truth" else f"step {int(name.removeprefix('step_'))}"
            _show(cells[row][column], pictures[name], title if row == 0 else "")
        cells[row][0].set_ylabel(label, fontsize=7)
    drift, detail, closed = below.subplots(1, 3)
    _closed_form(closed, shown["theory"])
    for arm in ARMS:
        _band(drift, shown["curves"][arm], "drift", arm)
        _band(detail, shown["curves"][arm], "detail", arm)
    mean, low, high = (ratio(scores, f"drift_ratio{end}") for end in ("", "_low", "_high"))
    drift.set(xlabel="step", ylabel="distance from the stage-I render", ylim=(0, None))
    title = f"unanchored / anchored: {mean:.2f} (95 %: {low:.2f} to {high:.2f})"
    drift.set_title(title, fontsize=7)
    drift.legend(fontsize=6.5)
    known = shown["controls"]
    controls = [
        detail.axhline(known["noise"], color="0.4", linestyle=":", label="noise of the same energy"),
        detail.axhline(known["same_material"], color="0.4", linestyle="--", label="the material"),
    ]
    detail.set(xlabel="step", ylabel="distance of fine detail [dB]", ylim=(0, None))
    detail.legend(
        handles=controls, fontsize=6, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 0.98),
        columnspacing=1, handlelength=1.6,
    )  # fmt: skip
    return figure


def _closed_form(axes: Axes, theory: Mapping[str, Any]) -> None:
    """Lines: derived. Dots: the mean of runs, now and then."""
    for arm, found in theory.items():
        axes.plot(found["derived"], color=COLOURS[arm], label=arm)
        mean = np.mean(found["runs"], axis=0)
        steps = np.linspace(0, len(mean) - 1, 12).round().astype(int)
        axes.plot(steps, mean[steps], ".", color=COLOURS[arm], markersize=3)
    axes.set(xlabel="step", ylabel="way to the prior's mean", ylim=(0, None))
    axes.set_title("closed form: derived, and runs", fontsize=7)


def ratio(scores: pd.DataFrame, metric: str) -> float:
    """A number of the paired comparison."""
    return float(scores[scores["metric"] == metric]["value"].item())


def chosen_steps(pictures: Mapping[str, Any]) -> list[str]:
    """The start, and some of the steps up to the last one, evenly."""
    steps = sorted(name for name in pictures if name.startswith("step_"))
    places = np.linspace(0, len(steps) - 1, min(SHOWN + 1, len(steps))).round().astype(int)
    return [steps[place] for place in places]


def _band(axes: Axes, found: pd.DataFrame, metric: str, arm: str) -> None:
    by_step = found.groupby("step")[metric]
    axes.plot(by_step.mean(), color=COLOURS[arm], label=arm)
    axes.fill_between(by_step.mean().index, by_step.min(), by_step.max(), color=COLOURS[arm], alpha=0.2, lw=0)


def _show(axes: Axes, picture: Any, title: str) -> None:
    axes.imshow(picture.transpose(1, 2, 0), interpolation="antialiased")
    axes.set_title(title, fontsize=7)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        table, seen = load(
            [Path(path) for path in snakemake.input.drifts],
            [Path(path) for path in snakemake.input.recognised],
            Path(snakemake.input.theory),
        )
        save(draw(table, seen), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), table)
