"""The claims page: reported, ours, difference, verdict, and the rule and file behind each row."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from castex.claims import Exhibit, Ledger, decide, parse_ledger, uncovered, undecided, unmeasured
from castex.cli._entry import logged
from castex.errors import InputError
from castex.files import write_text
from castex.tally import write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222;
       max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #222; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.PASS { color: #17632b; font-weight: 600; } .FAIL { color: #b3261e; font-weight: 600; } .NOT { color: #666; }
.bound { white-space: nowrap; }
small { color: #555; } code { font-size: 90%; } summary { cursor: pointer; margin-top: 2rem; }
"""
HEADINGS = ("verdict", "claim", "reported", "ours", "difference", "bound", "made by")


def load(
    exhibits: Sequence[Path], ledger: Path, reported: Path
) -> tuple[Ledger, pd.DataFrame, list[Exhibit]]:
    """The ledger, the published numbers, and the tidy rows of each exhibit."""
    rows = [Exhibit(path.stem, pd.read_csv(path), path.as_posix()) for path in exhibits]
    book, numbers = parse_ledger(yaml.safe_load(ledger.read_text(encoding="utf-8"))), pd.read_csv(reported)
    forgotten = uncovered(book, numbers)
    if forgotten:
        raise InputError(f"{ledger} says nothing of {forgotten[0]}; add a claim or a `not_run` entry for it")
    return book, numbers, rows


def draw(claims: pd.DataFrame, *, scale: str, replicates: str) -> str:
    """The page as self-contained HTML: decided claims first, the numbers that were not run folded away."""
    counts = claims["verdict"].value_counts()
    summary = ", ".join(f"{counts.get(v, 0)} {v}" for v in ("PASS", "FAIL", "NOT RUN"))
    ran = claims[claims["rule"].notna()]
    rest = claims[claims["rule"].isna()]
    folded = (
        f"<details><summary>{len(rest)} published numbers that were not run</summary>{_table(rest)}</details>"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>CasTex, reproduced: claims</title><style>{STYLE}</style>"
        f"<h1>Claims</h1><p>Scale <code>{escape(scale)}</code>, replicates "
        f"<code>{escape(replicates)}</code>: {summary}. A bound applies to our worst run; "
        "the published number stands beside it for comparison.</p>"
        f"{_table(ran)}{folded if len(rest) else ''}</html>\n"
    )


def _table(claims: pd.DataFrame) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    return f"<table><tr>{head}</tr>{''.join(map(_row, claims.to_dict('records')))}</table>"


def _row(claim: dict[str, object]) -> str:
    verdict = str(claim["verdict"])
    statement = (
        f"{_text(claim['statement'])}<br><small>{_text(claim['source'])}. {_text(claim['reason'])}.</small>"
    )
    made_by = f"<code>{_text(claim['rule'])}</code><br><small>{_text(claim['file'])}</small>"
    cells = [
        f'<td class="{verdict.split()[0]}">{verdict}</td>',
        f'<td id="{_text(claim["claim"])}">{statement}</td>',
        *(f'<td class="number">{_number(claim[key])}</td>' for key in ("reported", "ours", "difference")),
        f'<td class="bound">{_text(claim["tolerance"])}</td>',
        f"<td>{made_by if isinstance(claim['rule'], str) else ''}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _text(value: object) -> str:
    return escape(value) if isinstance(value, str) else ""


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) and value == value else ""


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        exhibits = snakemake.input.exhibits
        paths = [Path(path) for path in ([exhibits] if isinstance(exhibits, str) else exhibits)]
        book, numbers, measured = load(paths, Path(snakemake.input.ledger), Path(snakemake.input.reported))
        table = decide(book, numbers, measured, replicates=snakemake.params.replicates)
        if snakemake.params.whole:
            parts = [found(book, numbers, measured) for found in (unmeasured, undecided)]
            table = pd.concat([table, *(part for part in parts if len(part))], ignore_index=True)
        write_table(Path(snakemake.output.csv), table)
        page = draw(table, scale=snakemake.params.scale, replicates=snakemake.params.replicates)
        write_text(Path(snakemake.output.html), page)
