"""Prompts x models: what each model draws, and how often the judge reads colour and material back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from safetensors.numpy import load_file

from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.errors import IncompleteResults
from castex.files import read_json
from castex.tally import tidy, write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

LINEAR_END = 0.0031308


def load(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Tidy rows: accuracies per model and variant (`seen`, `held_out`, `control`), and their counts."""
    rows = [
        {"method": record["name"], "variant": score["variant"], "asset": "", "seed": record["sample"]["seed"]}
        | {"metric": metric, "value": value}
        for record in records
        for score in record["scores"]
        for metric, value in (
            (score["metric"], score["value"]),
            (score["metric"].replace("accuracy", "count"), score["count"]),
        )
    ]
    return tidy(rows)


def displayed(pictures: np.ndarray) -> np.ndarray:
    """Linear uint8 pictures, `pictures 3 height width`, as sRGB values with the channels last."""
    linear = pictures.astype(np.float32) / 255
    curve = 1.055 * np.maximum(linear, LINEAR_END) ** (1 / 2.4) - 0.055
    encoded: np.ndarray = np.where(linear <= LINEAR_END, 12.92 * linear, curve)
    return encoded.transpose(0, 2, 3, 1)


def row_label(asked: Sequence[Mapping[str, str | None]]) -> str:
    """The material, and below it the colours of the row."""
    materials = list(dict.fromkeys(str(one["material"]) for one in asked))
    colours = [str(one["colour"]) for one in asked if one["colour"] is not None]
    return "\n".join([" / ".join(materials), " | ".join(colours) or "no colour asked"])


def heading(record: Mapping[str, Any]) -> str:
    """The model, its size, and what the judge says of it."""
    base = record["model"]["base"]
    name = f"{base} + {record['name']}" if base else record["name"]
    lines = [name, f"{record['size']} px, {record['sample']['steps']} steps"]
    for word in ("colour", "material"):
        free = share(record, ("control",), word)
        share_of_all = share(record, ("seen", "held_out"), word)
        lines.append(f"{word} {share_of_all:.0%}" + ("" if free is None else f" ({free:.0%})"))
    return "\n".join(lines)


def share(record: Mapping[str, Any], variants: Sequence[str], word: str) -> float | None:
    """Right names of all pictures of some variants together; None where there are none."""
    chosen = [
        score
        for score in record["scores"]
        if score["variant"] in variants and score["metric"] == f"accuracy_{word}"
    ]
    count = sum(score["count"] for score in chosen)
    return sum(score["value"] * score["count"] for score in chosen) / count if count else None


def draw(records: Sequence[Mapping[str, Any]], pictures: Sequence[np.ndarray], columns: int) -> Figure:
    """One block of columns per model; a row is a material. IncompleteResults where a model lacks pictures."""
    use_style()
    asked = [one["asked"] for one in records[0]["pictures"] if one["text"]]
    rows = -(-len(asked) // columns)
    width = columns * len(records)
    cell = (PAGE_IN - 0.8) / width
    figure, cells = plt.subplots(rows, width, figsize=(PAGE_IN, cell * rows * 1.04 + 0.7), squeeze=False)
    engine = figure.get_layout_engine()
    assert engine is not None, "the style sheet sets one"
    engine.set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.0)
    for axes in cells.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for block, (record, shown) in enumerate(zip(records, pictures, strict=True)):
        if len(shown) < len(asked):
            raise IncompleteResults(
                f"{record['name']} drew {len(shown)} of {len(asked)} pictures; draw again"
            )
        for place, picture in enumerate(displayed(shown[: len(asked)])):
            axes = cells[place // columns][block * columns + place % columns]
            axes.imshow(picture, interpolation="nearest")
        cells[0][block * columns].set_title(heading(record), loc="left", fontsize=5.5)
    for row in range(rows):
        label = row_label(asked[row * columns : (row + 1) * columns])
        cells[row][0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=5.5)
    return figure


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        loaded = [read_json(Path(path)) for path in snakemake.input.results]
        drawn = [load_file(path)["images"] for path in snakemake.input.pictures]
        save(
            draw(loaded, drawn, int(snakemake.params.columns)),
            [snakemake.output.pdf, snakemake.output.png],
        )
        write_table(Path(snakemake.output.csv), load(loaded))
