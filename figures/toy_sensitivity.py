"""Figure 2 on three photographs: is the ordering of the arms a property of one picture or seed?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from _methods import STYLES
from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.tally import reconstruction_rows, tidy, write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

# x position of each score within a photograph's group: (method, metric, marker).
SCORES = [
    ("pixel-explicit", "psnr_theta", "o"),
    ("pixel-dip", "psnr_theta", "o"),
    ("latent-explicit", "psnr_theta", "o"),
    ("latent-explicit", "psnr_decoded", "D"),
    ("latent-dip", "psnr_theta", "o"),
    ("latent-dip", "psnr_decoded", "D"),
]
# Arms beside the plain ones are hollow and stand a little to the right, one place each.
OFFSET = 0.22
TOP_DB = 190


def load(results: Sequence[Path]) -> pd.DataFrame:
    """Tidy rows of all runs."""
    return tidy(row for result in results for row in reconstruction_rows(result))


def draw(scores: pd.DataFrame) -> Figure:
    """One panel per photograph, one dot per seed, hollow where the run departs from the plain experiment."""
    use_style()
    assets = list(dict.fromkeys(scores["asset"]))
    figure, panels = plt.subplots(1, len(assets), figsize=(PAGE_IN, 2.2), sharey=True, squeeze=False)
    for axes, asset in zip(panels[0], assets, strict=True):
        _panel(axes, scores[scores["asset"] == asset])
        axes.set_title(asset)
    panels[0][0].set_ylabel("PSNR (dB)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _panel(axes: Axes, scores: pd.DataFrame) -> None:
    for place, (method, metric, marker) in enumerate(SCORES):
        style = STYLES[method]
        chosen = scores[(scores["method"] == method) & (scores["metric"] == metric)]
        label = style.label + (", decoded" if metric == "psnr_decoded" else "")
        others = sorted(set(chosen["variant"]) - {"ours"})
        for step, variant in enumerate(["ours", *others]):
            values = chosen.loc[chosen["variant"] == variant, "value"].clip(upper=TOP_DB)
            axes.plot(
                [place + OFFSET * step] * len(values),
                values,
                marker,
                color=style.colour,
                markerfacecolor=style.colour if variant == "ours" else "none",
                markersize=4 if step < 2 else 2.5,
                label=label if variant == "ours" else f"{label} ({variant.removeprefix(method + '-')})",
            )
    ceiling = scores.loc[scores["metric"] == "psnr_ceiling", "value"]
    axes.axhline(ceiling.mean(), color="0.5", linestyle="--", label="autoencoder ceiling")
    axes.set_yscale("log")
    axes.set_yticks([5, 10, 20, 40, 80, 160], labels=["5", "10", "20", "40", "80", "160"])
    axes.set(xticks=[], xlim=(-0.6, len(SCORES) - 0.4), ylim=(4, 1.05 * TOP_DB))
    axes.minorticks_off()
    axes.grid(axis="y")


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        loaded = load([Path(path) for path in snakemake.input.results])
        save(draw(loaded), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), loaded)
