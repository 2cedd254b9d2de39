"""Write one table of all fetched assets: title, author, licence, page, hash, and what is missing and why."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--locks", type=Path, nargs="+", required=True, help="locks that `fetch_asset` wrote")
    parser.add_argument("--output", type=Path, required=True, help="table to write (tab-separated)")


def run(arguments: argparse.Namespace) -> None:
    from castex.fetch.objects import write_ledger

    count, missing = len(arguments.locks), write_ledger(arguments.output, arguments.locks)
    print(f"{count - len(missing)} of {count} assets are here", file=sys.stderr)
    if missing:
        print(
            f"missing: {', '.join(missing)}; the reasons stand in {arguments.output}. Put them into the "
            "asset sheet; or supply the files, remove the locks of these assets, and fetch again",
            file=sys.stderr,
        )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["fetch_ledger", *sys.argv[1:]]))
