"""Tidy rows of textures: what a judge calls them, how far they drift, paired intervals between methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from castex.errors import IncompleteResults
from castex.files import read_json

CONFIDENCE = 0.95
LATE = 2 / 3
"""Where the last third of a run begins."""


def place_of(path: Path) -> dict[str, Any]:
    """Method, asset (the subject's name) and seed of a file under textures/{method}/{subject}/seed{seed}/."""
    seed, subject, method = (path.parents[k].name for k in range(3))
    return {"method": method, "asset": subject, "seed": int(seed.removeprefix("seed"))}


def recognition_rows(path: Path) -> list[dict[str, Any]]:
    """`recognised.json` of one texture: accuracies as the prompt has it, and those of the grey control."""
    rows = read_json(path)["rows"]
    return [
        place_of(path) | {key: row[key] for key in ("variant", "metric", "value")}
        for row in rows
        if row["count"] > 0
    ]


def appraisal_rows(path: Path) -> list[dict[str, Any]]:
    """`appraised.json` of one texture: its numbers and those of its controls.

    `seam_excess` is what the albedo differs across seams beyond what it differs across other edges, less the
    same of the true material, which on a mesh of small triangles is not 0.
    """
    scores, rows = read_json(path)["scores"], list[dict[str, Any]]()
    gaps = {variant: found["seam_energy"] - found["edge_energy"] for variant, found in scores.items()}
    for variant, found in scores.items():
        numbers = {name: found[name] for name in ("clip_score", "feature_distance", "baked_light")}
        if variant != "same_material":
            numbers["seam_excess"] = gaps[variant] - gaps["same_material"]
        rows += [
            place_of(path) | {"variant": variant, "metric": name, "value": value}
            for name, value in numbers.items()
        ]
    return rows


def theory_rows(path: Path) -> list[dict[str, Any]]:
    """`anchoring_theory.json`: the way that each arm has covered, and how far runs are off at most."""
    rows = list[dict[str, Any]]()
    for source, found in read_json(path)["covered"].items():
        mean = [sum(values) / len(values) for values in zip(*found["runs"], strict=True)]
        numbers = {
            "theory_covered": found["derived"][-1],
            "runs_covered": mean[-1],
            "theory_misses_by": max(abs(a - b) for a, b in zip(mean, found["derived"], strict=True)),
        }
        common = {"method": f"theory-{source}", "variant": "ours", "asset": "normal-pictures", "seed": None}
        rows += [common | {"metric": name, "value": value} for name, value in numbers.items()]
    return rows


def mean_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over all assets and seeds of each method, variant and metric, as asset `all`."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        values.setdefault((row["method"], row["variant"], row["metric"]), []).append(row["value"])
    return [
        {
            "method": method, "variant": variant, "metric": metric, "asset": "all", "seed": None,
            "value": sum(found) / len(found),
        }
        for (method, variant, metric), found in values.items()
    ]  # fmt: skip


def drift_rows(path: Path) -> list[dict[str, Any]]:
    """`drift.json` of one texture: `drift` and `detail` at the end and after each snapshot.

    `late_growth` is the part of the final drift that the last third of the steps added. Variants `start`,
    `noise` and `same_material` have the `detail` of the controls.
    """
    record, place = read_json(path), place_of(path)
    rows, last = record["rows"], record["rows"][-1]
    if len(rows) < 3:
        raise IncompleteResults(f"{path} has {len(rows)} steps; a curve needs a start, a snapshot and an end")
    ours = {"drift": last["drift"], "detail": last["detail"], "late_growth": late_growth(rows)}
    for row in rows[1:]:
        ours |= {f"{name}_after_{row['step']:04d}": row[name] for name in ("drift", "detail")}
    found = [place | {"variant": "ours", "metric": name, "value": value} for name, value in ours.items()]
    controls = record["controls"].items()
    return found + [place | {"variant": name, "metric": "detail", "value": value} for name, value in controls]


def late_growth(rows: Sequence[dict[str, Any]]) -> float:
    """(drift at the end - drift at two thirds) / drift at the end, between snapshots linearly."""
    last = rows[-1]
    if last["drift"] == 0:
        return 0.0
    when = LATE * last["step"]
    after = next(k for k, row in enumerate(rows) if row["step"] >= when)
    a, b = rows[after - 1], rows[after]
    share = (when - a["step"]) / (b["step"] - a["step"])
    then = a["drift"] + share * (b["drift"] - a["drift"])
    return float((last["drift"] - then) / last["drift"])


def paired_ratio_rows(
    rows: Sequence[dict[str, Any]], metric: str, above: str, below: str
) -> list[dict[str, Any]]:
    """The geometric mean of `above` / `below`, and its two-sided interval.

    A t interval of the logarithms: `<metric>_ratio`, `<metric>_ratio_low`, `<metric>_ratio_high`. Over the
    seeds of one asset; with several assets over assets, whose seeds are averaged first, because seeds of one
    object are no independent objects. IncompleteResults with fewer than two, where a method lacks a run, and
    for values that have no logarithm.
    """
    from scipy.stats import t

    values = {
        (row["method"], row["asset"], row["seed"]): row["value"]
        for row in rows
        if row["metric"] == metric and row["variant"] == "ours"
    }
    keys = sorted({key[1:] for key in values})
    try:
        found = [(key[0], _log_ratio(values[above, *key], values[below, *key], metric)) for key in keys]
    except KeyError as error:
        raise IncompleteResults(
            f"no {metric} of {error.args[0]}; run both methods on the same textures"
        ) from error
    by_asset: dict[str, list[float]] = {}
    for asset, value in found:
        by_asset.setdefault(asset, []).append(value)
    logs = [sum(x) / len(x) for x in by_asset.values()] if len(by_asset) > 1 else [x for _, x in found]
    if len(logs) < 2:
        raise IncompleteResults(f"{len(logs)} pair of {above} and {below}; an interval needs two or more")
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1)) * spread / math.sqrt(len(logs))
    named = {"": mean, "_low": mean - half, "_high": mean + half}
    common = {"method": f"{above}/{below}", "variant": "ours", "asset": "all", "seed": None}
    return [common | {"metric": f"{metric}_ratio{k}", "value": math.exp(v)} for k, v in named.items()]


def _log_ratio(above: float, below: float, metric: str) -> float:
    if min(above, below) <= 0:
        raise IncompleteResults(
            f"a {metric} of {min(above, below):g} has no ratio; did the stage run at all?"
        )
    return math.log(above / below)
