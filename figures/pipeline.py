"""Figure 1: the pictures of one step of each stage, in the order in which they are made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.errors import InputError
from castex.files import read_json
from castex.tally import tidy, write_table
from castex.tally_textures import place_of

if TYPE_CHECKING:
    from snakemake.script import snakemake

MAPS = ("albedo", "roughness", "metallic", "normal")
# Columns from left to right; an empty name leaves the place free.
ROWS = {
    "base": ("render", "sample", "noisy", "", "predicted", "gradient"),
    "upsampler": ("render", "sample", "noisy", "condition", "predicted", "gradient"),
}
TITLES = {
    "base": "stage I",
    "upsampler": "stage II",
    "render": "render",
    "condition": "condition: noised\nstage-I render",
    "sample": "what the model\nis shown",
    "noisy": "$x_t$",
    "predicted": r"$\hat{x}_0$",
    "gradient": "gradient",
}


def load(
    pictures: Sequence[Path], results: Sequence[Path]
) -> tuple[pd.DataFrame, dict[str, Mapping[str, Any]]]:
    """Sides in pixels and steps as tidy rows, and the pictures by kind of stage.

    InputError unless both kinds are there.
    """
    rows, found = list[dict[str, Any]](), dict[str, Mapping[str, Any]]()
    for path, result in zip(pictures, results, strict=True):
        record, shown = read_json(result), load_file(path)
        found[record["kind"]] = shown
        facts = {f"side_{name}": float(picture.shape[-1]) for name, picture in shown.items()}
        facts["steps"] = float(record["steps"])
        rows += [place_of(path) | {"variant": "ours", "metric": k, "value": v} for k, v in facts.items()]
    if set(found) != set(ROWS):
        raise InputError(f"the figure shows a base and an upsampling stage, but got {', '.join(found)}")
    return tidy(rows), found


def draw(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A row per stage: its four maps in one cell, then the pictures, with arrows between them."""
    use_style()
    columns = len(ROWS["base"]) + 1
    figure, cells = plt.subplots(
        2, columns, figsize=(PAGE_IN, 2.8), gridspec_kw={"wspace": 0.35, "hspace": 0.3}
    )
    for row, (kind, names) in enumerate(ROWS.items()):
        _maps(cells[row][0], found[kind], TITLES[kind])
        before = cells[row][0]
        for axes, name in zip(cells[row][1:], names, strict=True):
            if not name:
                axes.axis("off")
                continue
            title = TITLES[name] if row == 0 or name == "condition" else ""
            _show(axes, found[kind][name], title)
            if name == "condition":
                axes.text(-0.27, 0.5, "+", transform=axes.transAxes, ha="center", va="center", fontsize=9)
            else:
                _arrow(before, axes)
            before = axes
        _return(before, cells[row][0])
    return figure


def _maps(axes: Axes, pictures: Mapping[str, Any], label: str) -> None:
    """Four quarters of one cell."""
    axes.set(xticks=[], yticks=[], xlim=(0, 2), ylim=(0, 2), aspect="equal")
    axes.spines[:].set_visible(False)
    axes.set_ylabel(label, fontsize=7)
    for place, name in enumerate(MAPS):
        left, bottom = place % 2, 1 - place // 2
        axes.imshow(pictures[name].transpose(1, 2, 0), extent=(left, left + 0.96, bottom, bottom + 0.96))
    axes.set(xlim=(0, 2), ylim=(0, 2))
    axes.set_title("texture maps", fontsize=6.5) if label == TITLES["base"] else None


def _show(axes: Axes, picture: Any, title: str) -> None:
    axes.imshow(picture.transpose(1, 2, 0), interpolation="nearest")
    axes.set_title(title, fontsize=6.5)
    axes.set_xlabel(f"{picture.shape[-1]} px", fontsize=5.5, labelpad=1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _arrow(left: Axes, right: Axes, *, height: float = 0.5) -> None:
    """From the right side of one cell to the left side of another."""
    right.annotate(
        "",
        xy=(-0.03, height),
        xytext=(1.03, height),
        xycoords=right.transAxes,
        textcoords=left.transAxes,
        arrowprops={"arrowstyle": "-|>", "color": "0.3", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        annotation_clip=False,
    )


def _return(last: Axes, first: Axes) -> None:
    """From below the gradient back to the maps."""
    style = {"arrowstyle": "-|>", "color": "0.3", "linewidth": 0.7, "connectionstyle": "bar,fraction=-0.035"}
    first.annotate(
        "",
        xy=(0.5, -0.22),
        xytext=(0.5, -0.22),
        xycoords=first.transAxes,
        textcoords=last.transAxes,
        arrowprops=style,
        annotation_clip=False,
    )


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        table, shown = load(
            [Path(path) for path in snakemake.input.pictures],
            [Path(path) for path in snakemake.input.results],
        )
        save(draw(shown), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), table)
