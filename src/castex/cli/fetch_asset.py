"""Bring one asset of the sheet to this machine, check it, and record its hash, author and licence.

A generated mesh is checked where it lies. An Objaverse object comes from its server, or from files that you
supply (`--objaverse-cache`); one that is gone is recorded as missing, with the reason.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from castex.cli._objaverse import add_cache_arguments, cache_of, given_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--asset", required=True, help="its name in the sheet")
    parser.add_argument("--meshes", type=Path, default=Path("data/mini/meshes"), help="the generated meshes")
    parser.add_argument("--index", type=Path, help="lock of `fetch_objaverse`; without it, it is made anew")
    add_cache_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="lock file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.assets import find_row, read_sheet
    from castex.fetch.objects import fetch_asset, fetch_bundled
    from castex.files import read_json, write_json
    from castex.settings.assets import AssetsSettings

    config = given_config(arguments)
    sheet = AssetsSettings.model_validate(config["assets"]).sheet
    row = find_row(read_sheet(Path(sheet)), arguments.asset)
    if row.source == "mini":
        lock = fetch_bundled(row, arguments.meshes)
    else:
        index = read_json(arguments.index) if arguments.index else None
        lock = fetch_asset(row, index, cache_of(arguments, config))
    if lock["missing"]:
        print(f"asset {row.asset} is recorded as missing: {lock['reason']}", file=sys.stderr)
    write_json(arguments.output, lock)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["fetch_asset", *sys.argv[1:]]))
