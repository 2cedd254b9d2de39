"""Calling Snakemake from tests, and reading what it plans."""

from __future__ import annotations

import os
import re
import subprocess

SMOKE = ["--configfile", "tests/smoke.yaml"]
EXHIBITS = [
    "ablations",
    "anchoring_map",
    "claims",
    "cost",
    "ledger",
    "pipeline",
    "recognition",
    "relighting",
    "samples",
    "sr_anchoring",
    "teaser",
    "texture_toy",
    "toy_reconstruction",
    "toy_sensitivity",
]
# Outside `all`: they need a stage II that has passed its yardstick.
WAITING = {"anchoring_map", "pipeline", "recognition", "sr_anchoring"}


def snakemake(folder, *arguments, check=True, **kwargs):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    command = ["snakemake", "--nocolor", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, **kwargs
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def planned(folder, *arguments):
    """Rule -> number of jobs that a dry run would start; empty when there is nothing to be done."""
    done = snakemake(folder, "-n", *arguments)
    found = re.search(r"^Job stats:\njob +count\n[- ]+\n((?:\w+ +\d+\n)+)", done.stdout, flags=re.MULTILINE)
    if found is None:
        assert "Nothing to be done" in done.stdout + done.stderr
        return {}
    jobs = {name: int(count) for name, count in re.findall(r"(\w+) +(\d+)", found[1])}
    assert jobs.pop("total") == sum(jobs.values())
    return jobs


def rule_graph(folder, *arguments):
    """The edges between rules, by name."""
    dot = snakemake(folder, "--rulegraph", *arguments).stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    return {(names[tail], names[head]) for tail, head in re.findall(r"(\d+) -> (\d+)", dot)}
