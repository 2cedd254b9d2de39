"""Maps and lights: one row per dressed asset, its four maps, then the same view under each light."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.files import read_json
from castex.tally import tidy, write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

MAPS = ("albedo", "roughness", "metallic", "normal")


def load(results: Mapping[str, Path], assets: Mapping[str, str]) -> pd.DataFrame:
    """Tidy rows: the brightness of every render, and the mean of every map; `method` is the dress."""
    rows = []
    for dress, path in results.items():
        found = read_json(path)
        values = {f"luminance_{light}": value for light, value in found["luminance"].items()}
        values |= {f"mean_{name}": value for name, value in found["means"].items()}
        common = {"method": dress, "variant": "ours", "asset": assets[dress], "seed": 0}
        rows += [common | {"metric": metric, "value": value} for metric, value in values.items()]
    return tidy(rows)


def credit(report: Mapping[str, object]) -> str:
    """Title, author and licence of an object, as far as its file tells them."""
    attribution = report.get("attribution")
    assert isinstance(attribution, Mapping), "prepare writes it"
    parts = [str(attribution.get(name, "")) for name in ("title", "author", "licence")]
    return ", ".join(part for part in parts if part)


def draw(folders: Mapping[str, Path], lights: Sequence[str], credits: Mapping[str, str]) -> Figure:
    """The grid of pictures; each row is labelled with what it shows and credited below."""
    use_style()
    columns = [*MAPS, *lights]
    figure, cells = plt.subplots(
        len(folders),
        len(columns),
        figsize=(PAGE_IN, PAGE_IN / len(columns) * len(folders) * 1.02 + 0.3),
        squeeze=False,
    )
    for row, (dress, folder) in zip(cells, folders.items(), strict=True):
        for axes, name in zip(row, columns, strict=True):
            axes.imshow(plt.imread(folder / f"{name}.png"), interpolation="antialiased")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(name in MAPS)
        row[0].set_ylabel(dress.replace("-", ", "))
    for axes, name in zip(cells[0], columns, strict=True):
        axes.set_title(name if name in MAPS else f"under {name}")
    lines = list(dict.fromkeys(line for line in credits.values() if line))
    figure.supxlabel("\n".join(lines), fontsize=5, color="0.4")
    return figure


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        names = list(snakemake.params.dresses)
        found = {name: Path(path) for name, path in zip(names, snakemake.input.results, strict=True)}
        worn = {name: dress["asset"] for name, dress in snakemake.params.dresses.items()}
        texts = {Path(path).parent.name: credit(read_json(Path(path))) for path in snakemake.input.reports}
        scores = load(found, worn)
        folders = {name: path.parent for name, path in found.items()}
        save(
            draw(folders, snakemake.params.lights, {name: texts[worn[name]] for name in names}),
            [snakemake.output.pdf, snakemake.output.png],
        )
        write_table(Path(snakemake.output.csv), scores)
