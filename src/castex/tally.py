"""Scores as tidy rows: `method,variant,asset,seed,metric,value`. A missing row is an error, never dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from castex.errors import IncompleteResults
from castex.files import atomic_path, read_json

COLUMNS = ["method", "variant", "asset", "seed", "metric", "value"]


def tidy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows as a frame with exactly the tidy columns, sorted; duplicates and gaps raise."""
    frame = pd.DataFrame(list(rows), columns=COLUMNS)
    keys = COLUMNS[:-1]
    # The seed may be empty (a quoted number has none); a value may not.
    if frame["value"].isna().any():
        first = frame[frame["value"].isna()].iloc[0]
        raise IncompleteResults(f"no value for {', '.join(str(first[key]) for key in keys)}")
    if frame.duplicated(keys).any():
        first = frame[frame.duplicated(keys)].iloc[0]
        raise IncompleteResults(f"two values for {', '.join(str(first[key]) for key in keys)}")
    return frame.sort_values(keys, ignore_index=True)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV, atomically; floats keep all their digits."""
    with atomic_path(path) as partial:
        frame.to_csv(partial, index=False)


def reconstruction_rows(result: Path) -> list[dict[str, Any]]:
    """The scores of one `result.json` of the rule `reconstruct` as tidy rows.

    The method is `<space>-<parameterisation>`, the asset is the picture's name, and the variant is `ours` for
    the arm that carries the method's own name, else the name of the arm (`latent-explicit-grey`).
    """
    record = read_json(result)
    settings = record["settings"]
    method = f"{settings['space']}-{settings['parameterisation']}"
    metrics = ["psnr_theta"]
    if settings["space"] == "latent":
        metrics += ["psnr_decoded", "psnr_ceiling", "code_values"]
    missing = [metric for metric in metrics if metric not in record]
    if missing:
        raise IncompleteResults(f"{result} holds no {missing[0]}; delete it and run the rule again")
    common = {
        "method": method,
        "variant": "ours" if record["variant"] == method else record["variant"],
        "asset": Path(record["image"]["name"]).stem,
        "seed": record["seed"],
    }
    return [common | {"metric": metric, "value": record[metric]} for metric in metrics]


def reported_rows(reported: pd.DataFrame, table: str) -> list[dict[str, Any]]:
    """Published numbers of one table (the first part of their ids) as tidy rows of variant `reported`."""
    ids = reported["id"].str.split(".")
    chosen = reported[ids.str[0] == table]
    return [
        {
            "method": parts[-2],
            "variant": "reported",
            "asset": "",
            "seed": "",
            "metric": parts[-1],
            "value": value,
        }
        for parts, value in zip(chosen["id"].str.split("."), chosen["value"], strict=True)
    ]


def recovery_rows(result: Path) -> list[dict[str, Any]]:
    """The scores of one `result.json` of the rule `recover` as tidy rows.

    The method is the arm, the asset the dressed mesh. Scores that end in `_start` belong to the variant
    `start`, the maps that an arm began with; all others to `ours`.
    """
    record = read_json(result)
    if not record.get("scores"):
        raise IncompleteResults(f"{result} holds no scores; delete it and run the rule again")
    common = {"method": record["arm"], "asset": record["asset"], "seed": record["seed"]}
    return [
        common
        | {
            "variant": "start" if metric.endswith("_start") else "ours",
            "metric": metric.removesuffix("_start"),
            "value": value,
        }
        for metric, value in record["scores"].items()
    ]
