"""The cost ledger: core-seconds and memory of the exhibits, from `benchmark:` files, against budgets."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from castex.cli._entry import logged
from castex.errors import IncompleteResults
from castex.tally import write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

COLUMNS = ["item", "value", "unit", "budget", "verdict", "what"]


def load(benchmarks: Sequence[Path]) -> pd.DataFrame:
    """One row per job: its name (the benchmark's path), seconds, and peak memory in MB."""
    root = os.path.commonpath(benchmarks)
    rows = []
    for path in benchmarks:
        table = pd.read_csv(path, sep="\t")
        if table.empty:
            raise IncompleteResults(f"{path} holds no measurement; run its job again with --forcerun")
        # A job too short to be sampled has no memory reading; its seconds still count.
        memory = pd.to_numeric(table["max_rss"], errors="coerce").max()
        name = path.relative_to(root).with_suffix("").as_posix()
        rows.append({"job": name, "seconds": float(table["s"].sum()), "memory": memory})
    return pd.DataFrame(rows)


def draw(jobs: pd.DataFrame, budgets: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Totals with their verdicts, then every job. Jobs run one thread each, so seconds are core-seconds."""
    rows = []
    for name, entry in budgets.items():
        value = _measured(jobs[jobs["job"].str.startswith(tuple(entry["of"]))], entry["measure"], name)
        verdict = "PASS" if value <= entry["budget"] else "FAIL"
        rows.append({"item": name, "value": round(value, 1), "verdict": verdict, **entry})
    rows += [
        {"item": job["job"], "value": round(job["seconds"], 1), "unit": "s", "what": "one job"}
        for job in jobs.sort_values("seconds", ascending=False).to_dict("records")
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(jobs: pd.DataFrame, measure: str, name: str) -> float:
    if jobs.empty:
        raise IncompleteResults(f"no job was measured for the budget {name}")
    found = {"total": jobs["seconds"].sum, "longest": jobs["seconds"].max, "memory": jobs["memory"].max}
    return float(found[measure]())


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        measured = load([Path(path) for path in snakemake.input.benchmarks])
        limits = yaml.safe_load(Path(snakemake.input.budgets).read_text(encoding="utf-8"))
        write_table(Path(snakemake.output.csv), draw(measured, limits))
