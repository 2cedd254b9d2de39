"""Bring what Objaverse says of the objects of the scale: their places, authors and licences."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from castex.cli._objaverse import add_cache_arguments, cache_of, given_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cache_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="lock file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.assets import chosen, read_sheet
    from castex.fetch.objaverse import fetch_index
    from castex.files import write_json
    from castex.settings.assets import AssetsSettings

    config = given_config(arguments)
    settings = AssetsSettings.model_validate(config["assets"])
    rows = chosen(read_sheet(Path(settings.sheet)), settings)
    uids = [row.uid for row in rows if row.uid is not None and not row.missing]
    index = fetch_index(uids, cache_of(arguments, config))
    if index["index"] is None:
        print(
            "no network, but every mesh is at hand: authors and licences come from the files", file=sys.stderr
        )
    write_json(arguments.output, index)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["fetch_objaverse", *sys.argv[1:]]))
