"""Bring one entry of `files` of the configuration to this machine, check it, and record its hash."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the file's settings")
    parser.add_argument("--download", metavar="JSON", default="{}", help="timeouts and retries")
    parser.add_argument("--name", required=True, help="name of the file in the configuration")
    parser.add_argument("--cache", type=Path, required=True, help="folder for downloads")
    parser.add_argument("--output", type=Path, required=True, help="lock file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.fetch.files import fetch_file
    from castex.files import read_json, write_json
    from castex.settings.assets import DownloadSettings, FileSettings

    settings = FileSettings.model_validate(read_json(arguments.settings))
    patience = DownloadSettings.model_validate_json(arguments.download)
    write_json(arguments.output, fetch_file(arguments.name, settings, arguments.cache, patience))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["fetch_file", *sys.argv[1:]]))
