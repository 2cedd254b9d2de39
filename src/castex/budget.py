"""Measured figures beside what they may be, and the name of the processor that they were measured on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import yaml

from castex.files import read_text

HEADER = "item,value,unit,budget,verdict,what"


def compared(values: Mapping[str, float | None], budgets: Path) -> str:
    """CSV with one row per entry of a YAML file of budgets.

    An entry is `{budget, unit, what}`; the value may be at most the budget, or at least it where the entry
    says `least: true`. What has no value was NOT RUN.
    """
    lines = [HEADER]
    for name, entry in yaml.safe_load(read_text(budgets)).items():
        value, budget = values.get(name), entry["budget"]
        if value is None:
            verdict, shown = "NOT RUN", ""
        else:
            holds = value >= budget if entry.get("least", False) else value <= budget
            verdict, shown = "PASS" if holds else "FAIL", f"{value:.3f}"
        lines.append(f'{name},{shown},{entry["unit"]},{budget},{verdict},"{entry["what"]}"')
    return "\n".join(lines) + "\n"


def processor() -> str:
    """The processor's model as Linux names it, or its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
