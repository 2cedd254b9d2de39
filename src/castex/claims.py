"""Claims of the papers as data, and their verdicts: PASS, FAIL or NOT RUN.

`data/claims.yaml` says what is claimed and how it is decided; `data/reported.csv` holds every number the
papers report. A claim is decided on the worst case over all assets and seeds that ran: a lower bound on the
smallest value, an upper bound on the largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, ValidationError, model_validator

from castex.config import first_fault
from castex.errors import IncompleteResults, InputError
from castex.settings import Name, Settings

COLUMNS = [
    "claim",
    "exhibit",
    "statement",
    "source",
    "reported",
    "ours",
    "difference",
    "tolerance",
    "verdict",
    "reason",
    "rule",
    "file",
]


class Selector(Settings):
    """Which rows of an exhibit's CSV a claim looks at."""

    method: str
    metric: str
    variant: str = "ours"
    asset: str | None = None


class Claim(Settings):
    """One statement that an exhibit can decide."""

    id: Name
    exhibit: Name
    statement: str
    source: str
    value: Selector
    minus: Selector | None = None
    at_least: float | None = None
    at_most: float | None = None
    more_than: float | None = None
    """A strict bound: equality fails."""
    unit: str = ""
    reported: str | None = None
    """Id of the published number that `value` stands beside."""
    reported_minus: str | None = None
    """Id of the published number that `minus` stands beside."""
    replicates: Literal["reduced", "full"] = "reduced"
    """Smallest number of replicates that decides the claim."""
    note: str = ""

    @model_validator(mode="after")
    def _bounded(self) -> Claim:
        if self.at_least is None and self.at_most is None and self.more_than is None:
            raise ValueError("a claim needs a bound: without one it could not fail")
        return self


class NotRun(Settings):
    """Published numbers that nothing here can decide, and why."""

    reported: Annotated[list[str], Field(min_length=1)]
    """Ids of `data/reported.csv`, `*` matches anything."""
    exhibit: Name
    reason: str
    value: Selector | None = None
    """What this package measured in place of it, shown beside it without a verdict."""


class Ledger(Settings):
    """The whole of `data/claims.yaml`."""

    claims: list[Claim]
    not_run: list[NotRun]

    @model_validator(mode="after")
    def _unique(self) -> Ledger:
        ids = [claim.id for claim in self.claims]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"two claims are called {twice[0]!r}")
        return self


def parse_ledger(raw: Mapping[str, Any]) -> Ledger:
    """The typed ledger; InputError names the first fault."""
    try:
        return Ledger.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"claims.yaml: {first_fault(error)}") from error


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What one exhibit measured: its tidy rows, its rule and the file that holds them."""

    name: str
    rows: pd.DataFrame
    file: str


def uncovered(ledger: Ledger, reported: pd.DataFrame) -> list[str]:
    """Ids of published numbers that no claim and no NOT RUN entry mentions."""
    used = {claim.reported for claim in ledger.claims} | {claim.reported_minus for claim in ledger.claims}
    patterns = [pattern for entry in ledger.not_run for pattern in entry.reported]
    return [i for i in reported["id"] if i not in used and not any(fnmatchcase(i, p) for p in patterns)]


def decide(
    ledger: Ledger, reported: pd.DataFrame, exhibits: Sequence[Exhibit], *, replicates: str
) -> pd.DataFrame:
    """One row per claim that one of the given exhibits decides."""
    numbers = reported.set_index("id")
    by_name = {exhibit.name: exhibit for exhibit in exhibits}
    rows = [
        _decided(claim, by_name[claim.exhibit], numbers, replicates)
        for claim in ledger.claims
        if claim.exhibit in by_name
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def unmeasured(ledger: Ledger, reported: pd.DataFrame, exhibits: Sequence[Exhibit]) -> pd.DataFrame:
    """One NOT RUN row per claim whose exhibit is not among those given, with the rule to ask for."""
    numbers, present = reported.set_index("id"), {exhibit.name for exhibit in exhibits}
    rows = [
        _stated(claim, numbers)
        | {
            "rule": claim.exhibit,
            "verdict": "NOT RUN",
            "reason": f"the exhibit {claim.exhibit} is not part of `all`",
        }
        for claim in ledger.claims
        if claim.exhibit not in present
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def undecided(ledger: Ledger, reported: pd.DataFrame, exhibits: Sequence[Exhibit]) -> pd.DataFrame:
    """One NOT RUN row per published number that nothing here decides, beside ours where there is one."""
    by_name = {exhibit.name: exhibit for exhibit in exhibits}
    rows = [
        _not_run_row(number, entry, by_name.get(entry.exhibit))
        for entry in ledger.not_run
        for number in reported.to_dict("records")
        if any(fnmatchcase(str(number["id"]), pattern) for pattern in entry.reported)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _not_run_row(number: Mapping[Any, Any], entry: NotRun, exhibit: Exhibit | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "claim": number["id"],
        "exhibit": entry.exhibit,
        "statement": f"{number['method']}: {number['metric']} {number['value']} {number['unit']}".strip(),
        "source": number["source"],
        "reported": number["value"],
        "verdict": "NOT RUN",
        "reason": entry.reason,
    }
    if entry.value is None or exhibit is None:
        return row
    ours = float(min(_selected(entry.value, exhibit)))
    return row | {"ours": ours, "difference": ours - number["value"], "file": exhibit.file}


def _decided(claim: Claim, exhibit: Exhibit, numbers: pd.DataFrame, replicates: str) -> dict[str, Any]:
    row = _stated(claim, numbers) | {"rule": exhibit.name, "file": exhibit.file}
    if claim.replicates == "full" and replicates != "full":
        return row | {"verdict": "NOT RUN", "reason": "needs --config replicates=full"}
    values = _values(claim, exhibit)
    smallest, largest = float(min(values)), float(max(values))
    too_small = (claim.at_least is not None and smallest < claim.at_least) or (
        claim.more_than is not None and smallest <= claim.more_than
    )
    too_large = claim.at_most is not None and largest > claim.at_most
    # The worst run: the one that breaks a bound, else the one nearest to the bound that there is.
    only_above = claim.at_least is None and claim.more_than is None
    worst = largest if too_large or (only_above and not too_small) else smallest
    runs = f"{len(values)} run" + ("s, the worst counts" if len(values) > 1 else "")
    return row | {
        "ours": worst,
        "difference": None if row["reported"] is None else worst - row["reported"],
        "verdict": "FAIL" if too_small or too_large else "PASS",
        "reason": "; ".join(part for part in (runs, claim.note) if part),
    }


def _stated(claim: Claim, numbers: pd.DataFrame) -> dict[str, Any]:
    """What a row says before anything was measured."""
    return {
        "claim": claim.id,
        "exhibit": claim.exhibit,
        "statement": claim.statement,
        "source": claim.source,
        "reported": _reported(claim, numbers),
        "tolerance": _tolerance(claim),
    }


def _reported(claim: Claim, numbers: pd.DataFrame) -> float | None:
    if claim.reported is None:
        return None
    values: dict[Any, float] = numbers["value"].to_dict()
    below = 0.0 if claim.reported_minus is None else values[claim.reported_minus]
    return values[claim.reported] - below


def _tolerance(claim: Claim) -> str:
    bounds = ((">=", claim.at_least), (">", claim.more_than), ("<=", claim.at_most))
    return " and ".join(
        f"{sign} {bound:g} {claim.unit}".strip() for sign, bound in bounds if bound is not None
    )


def _values(claim: Claim, exhibit: Exhibit) -> pd.Series:
    """The claimed quantity per (asset, seed)."""
    values = _selected(claim.value, exhibit)
    if claim.minus is None:
        return values
    other = _selected(claim.minus, exhibit)
    if set(values.index) != set(other.index):
        raise IncompleteResults(f"claim {claim.id}: the two sides come from different runs in {exhibit.file}")
    return values - other


def _selected(selector: Selector, exhibit: Exhibit) -> pd.Series:
    rows = exhibit.rows
    chosen = rows[
        (rows["method"] == selector.method)
        & (rows["metric"] == selector.metric)
        & (rows["variant"] == selector.variant)
        & (True if selector.asset is None else rows["asset"] == selector.asset)
    ]
    if chosen.empty:
        raise IncompleteResults(f"{exhibit.file} has no {selector.metric} of {selector.method}")
    return chosen.set_index(["asset", "seed"])["value"]
