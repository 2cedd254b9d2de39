"""What the networks cost, and the seconds per texture that follow, beside the published ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from _save import PAGE_IN, plt, save, use_style
from castex.cli._entry import logged
from castex.files import read_json
from castex.tally import reported_rows, tidy, write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

LABELS = {
    "castex-m": "CasTex (M)",
    "castex-xl": "CasTex (XL)",
    "castex-m-l": "CasTex (M+L)",
    "castex-xl-l": "CasTex (XL+L)",
}
# Predictions that are drawn: metric, label, colour of Okabe and Ito.
PREDICTIONS = (
    ("seconds_a100_eager", "A100, eager", "#d55e00"),
    ("seconds_h200_eager", "H200, eager", "#0072b2"),
    ("seconds_h200_compiled", "H200, compiled at best", "#56b4e9"),
)
# Columns of the table with their shares of its width.
COLUMNS = {
    "network": 0.15,
    "batch": 0.05,
    "parameters\n(million)": 0.09,
    "published\n(million)": 0.08,
    "GFLOP": 0.07,
    "weights\n(MB)": 0.07,
    "MB moved\neager / compiled": 0.13,
    "A100, ms\neager / compiled": 0.12,
    "H200, ms\neager / compiled": 0.12,
    "here, ms\nas loaded / bfloat16": 0.12,
}
# Names of the shapes that IF-II-L may have begin with it.
UPSAMPLER = "if-ii-l"
# Below this many operations an accelerator waits for its host, of which the roofline knows nothing.
FEWEST_TFLOP = 0.1


def load(record: Mapping[str, Any], published: pd.DataFrame, reported: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows of every network and synthesis; `size` is in billion parameters, as in the papers."""
    rows = [
        {"method": entry["name"], "variant": "ours", "asset": "", "seed": ""}
        | {"metric": metric, "value": value}
        for entry in record["networks"]
        for metric, value in _values(entry).items()
    ]
    for entry in record["syntheses"]:
        values = {"size": entry["parameters"] / 1e9}
        values |= {f"seconds_{how}": seconds for how, seconds in entry["seconds"].items()}
        common = {"method": entry["synthesis"], "variant": entry["variant"], "asset": "", "seed": ""}
        rows += [common | {"metric": metric, "value": value} for metric, value in values.items()]
    ours = reported["id"].str.fullmatch(r"results_table\.v2\.castex-[a-z-]+\.(?:size|seconds)")
    rows += reported_rows(reported[ours], "results_table")
    rows += [
        {"method": row["network"], "variant": "reported", "asset": "", "seed": ""}
        | {"metric": row["metric"], "value": row["value"]}
        for row in published.to_dict("records")
    ]
    return tidy(rows)


def _values(entry: Mapping[str, Any]) -> dict[str, float]:
    values = {
        "size": entry["parameters"] / 1e9,
        "batch": entry["batch"],
        "tflop": entry["flops"] / 1e12,
        "weights_gb": entry["weight_bytes"] / 1e9,
    }
    for execution, moved in entry["moved_bytes"].items():
        values[f"moved_gb_{execution}"] = moved / 1e9
    for machine, times in entry["predicted_ms"].items():
        values |= {f"predicted_ms_{machine}_{execution}": ms for execution, ms in times.items()}
    for precision, times in entry.get("measured", {}).items():
        values |= {f"measured_ms_{precision}": times["ms"], f"measured_cpu_ms_{precision}": times["cpu_ms"]}
    if "measured" in entry:
        values["measured_ms_as_loaded"] = entry["measured"][entry["precision"]]["ms"]
    return values


def draw(scores: pd.DataFrame, record: Mapping[str, Any]) -> Figure:
    """Seconds per texture above, the table of the networks below."""
    use_style()
    lower = 0.14 * (len(record["networks"]) + 2)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(PAGE_IN, 2.1 + lower), height_ratios=[2.0, lower], squeeze=True
    )
    _seconds(above, scores)
    _table(below, scores, [entry["name"] for entry in record["networks"]])
    machine = record["machine"]
    where = f"{machine['device']}, {machine['threads']} thread(s), torch {machine['torch']}"
    assumed = ", ".join(
        f"{m['name']} {m['compute_share']:.0%} of peak arithmetic and {m['memory_share']:.0%} of bandwidth"
        for m in record["predicted_for"].values()
    )
    gated = "candidates; the shape of IF-II-L is not settled: read it from the gated config.json"
    figure.supxlabel(
        f"Assumed by the predictions, not measured: {assumed}.\n{UPSAMPLER}-*: {gated}. Here: {where}.",
        fontsize=5,
        color="0.4",
    )
    return figure


def _seconds(axes: Axes, scores: pd.DataFrame) -> None:
    """A dot where the networks are settled, a bar over the candidates where they are not."""
    for place, method in enumerate(LABELS):
        chosen = scores[scores["method"] == method]
        for step, (metric, label, colour) in enumerate(PREDICTIONS):
            values = chosen.loc[chosen["metric"] == metric, "value"]
            y = place + 0.2 * (step - 1)
            if len(values) == 1:
                axes.plot(values, y, "o", color=colour, label=None if place else f"UNets alone: {label}")
            else:
                axes.plot([values.min(), values.max()], [y, y], "|-", color=colour, linewidth=2.5)
        reported = chosen.loc[
            (chosen["variant"] == "reported") & (chosen["metric"] == "seconds"), "value"
        ].item()
        axes.plot(reported, place, "kD", label=None if place else "published, whole method, A100")
    axes.set_yticks(range(len(LABELS)), labels=list(LABELS.values()))
    axes.set(xscale="log", xlabel="seconds per texture", ylim=(len(LABELS) - 0.5, -0.5))
    axes.grid(axis="x", which="both")
    axes.legend(loc="lower left")


def _table(axes: Axes, scores: pd.DataFrame, networks: list[str]) -> None:
    values = scores.set_index(["method", "variant", "metric"])["value"]
    cells = [_cells(values, name) for name in networks]
    table = axes.table(
        cells,
        colLabels=list(COLUMNS),
        colWidths=list(COLUMNS.values()),
        # From the left edge of the labels above.
        bbox=(-0.14, 0, 1.14, 1),
        cellLoc="right",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(5.5)
    for (row, column), cell in table.get_celld().items():
        cell.set(height=2.0 if row == 0 else 1.0, linewidth=0.3)
        if column == 0:
            cell.set_text_props(ha="left")
    axes.set_axis_off()


def _cells(values: pd.Series, name: str) -> list[str]:
    def number(metric: str, unit: float = 1, variant: str = "ours", network: str = name) -> str:
        found = values.get((network, variant, metric))
        return "-" if found is None else _short(found * unit)

    def pair(*metrics: str, unit: float = 1) -> str:
        texts = [number(metric, unit) for metric in metrics]
        return "-" if "-" in texts else " / ".join(texts)

    published = UPSAMPLER if name.startswith(f"{UPSAMPLER}-") else name
    loaded = number("measured_ms_as_loaded")
    accelerated = values[name, "ours", "tflop"] >= FEWEST_TFLOP
    return [
        name,
        number("batch"),
        number("size", 1000),
        number("size", 1000, "reported", published),
        number("tflop", 1000),
        number("weights_gb", 1000),
        pair("moved_gb_eager", "moved_gb_compiled", unit=1000),
        pair("predicted_ms_a100_eager", "predicted_ms_a100_compiled") if accelerated else "-",
        pair("predicted_ms_h200_eager", "predicted_ms_h200_compiled") if accelerated else "-",
        loaded if loaded == "-" else f"{loaded} / {number('measured_ms_bfloat16')}",
    ]


def _short(value: float) -> str:
    """Three digits or more, and no powers of ten."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        found = read_json(Path(snakemake.input.record))
        loaded = load(found, pd.read_csv(snakemake.input.published), pd.read_csv(snakemake.input.reported))
        save(draw(loaded, found), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), loaded)
