"""Figure 2: six reconstructions of a photograph from point-mass scores, and how they converge."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from _methods import STYLES
from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.errors import InputError
from castex.tally import reconstruction_rows, reported_rows, tidy, write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

Picture = np.ndarray  # height width 3, sRGB in [0, 1]

# The paper's layout: explicit above DIP; pixel space, latent space, and the latter decoded.
ROWS = {"explicit": r"$\theta_\mathrm{RGB}$", "dip": r"$\theta_\mathrm{DIP}$"}
COLUMNS = (
    ("pixel", "theta", "pixel space"),
    ("latent", "theta", "latent space"),
    ("latent", "decoded", "latent, decoded"),
)


@dataclass(frozen=True)
class Data:
    """Everything that the figure shows, by method (`<space>-<parameterisation>`)."""

    scores: pd.DataFrame
    pictures: dict[str, dict[str, Picture]]
    traces: dict[str, pd.DataFrame]


def load(folders: Sequence[Path], reported: Path) -> Data:
    """Read the runs of the experiment (one folder each) and the published numbers."""
    rows = reported_rows(pd.read_csv(reported), "toy")
    pictures, traces = {}, {}
    for folder in folders:
        scores = reconstruction_rows(folder / "result.json")
        method = str(scores[0]["method"])
        rows += scores
        tensors = load_file(folder / "pictures.safetensors")
        pictures[method] = {name: t[0].transpose(1, 2, 0) for name, t in tensors.items()}
        traces[method] = pd.read_csv(folder / "trace.csv")
    if (
        len(folders) != len(STYLES)
        or pictures.keys() != STYLES.keys()
        or len({r["asset"] for r in rows}) != 2
    ):
        raise InputError(
            f"the figure shows the four arms on one picture with one seed, but got {len(folders)} runs; "
            "name one picture and one seed under experiments.toy_reconstruction (toy_sensitivity takes more)"
        )
    return Data(tidy(rows), pictures, traces)


def draw(data: Data) -> Figure:
    """Target and autoencoder ceiling, the six panels, and the convergence curves."""
    use_style()
    figure = plt.figure(figsize=(PAGE_IN, 3.3))
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.04, wspace=0.0, hspace=0.02)
    grid = figure.add_gridspec(2, 5, width_ratios=(1, 1, 1, 1, 1.6))
    latent = data.pictures["latent-explicit"]
    _show(figure.add_subplot(grid[0, 0]), latent["target"], r"target $x^*$", "")
    ceiling = f"{_score(data, 'latent-explicit', 'psnr_ceiling'):.2f} dB"
    values = f"{_score(data, 'latent-explicit', 'code_values'):.0f} numbers"
    _show(figure.add_subplot(grid[1, 0]), latent["ceiling"], r"dec(enc($x^*$))", f"{ceiling}\n{values}")
    for row, (parameterisation, label) in enumerate(ROWS.items()):
        for column, (space, name, title) in enumerate(COLUMNS):
            method, metric = f"{space}-{parameterisation}", f"psnr_{name}"
            below = f"{_score(data, method, metric):.2f} dB\n(paper {_reported(data, method, metric):.2f})"
            axes = figure.add_subplot(grid[row, column + 1])
            _show(axes, data.pictures[method][name], title if row == 0 else "", below)
            if column == 0:
                axes.set_ylabel(label)
    _curves(figure.add_subplot(grid[:, 4]), data.traces)
    return figure


def _show(axes: Axes, picture: Picture, title: str, below: str) -> None:
    axes.imshow(np.clip(picture, 0, 1))
    axes.set_title(title)
    axes.set_xlabel(below, fontsize=7, labelpad=2)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _curves(axes: Axes, traces: dict[str, pd.DataFrame]) -> None:
    for method in STYLES:
        trace, style = traces[method], STYLES[method]
        axes.plot(trace["step"], trace["psnr_theta"], color=style.colour, label=style.label)
        if "psnr_decoded" in trace:
            axes.plot(trace["step"], trace["psnr_decoded"], color=style.colour, linestyle=":")
    axes.plot([], [], color="0.4", linestyle=":", label="decoded")
    axes.set(xlabel="step", ylabel="PSNR (dB)")
    axes.grid(axis="y")
    axes.legend(loc="center right", bbox_to_anchor=(1.02, 0.41), fontsize=6.5, handlelength=1.4)


def _score(data: Data, method: str, metric: str, variant: str = "ours") -> float:
    scores = data.scores
    chosen = scores[
        (scores["method"] == method) & (scores["metric"] == metric) & (scores["variant"] == variant)
    ]
    return float(chosen["value"].iloc[0])


def _reported(data: Data, method: str, metric: str) -> float:
    return _score(data, method, metric, "reported")


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        folders = [Path(path).parent for path in snakemake.input.results]
        loaded = load(folders, Path(snakemake.input.reported))
        save(draw(loaded), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), loaded.scores)
