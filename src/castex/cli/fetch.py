"""Bring one model of the configuration to this machine, check it, and record its files and hashes.

A local folder is checked in place. A repository is downloaded at its pinned revision into the cache, from a
mirror where it does not give the files; known hashes are compared, unknown ones are recorded at the first
download and compared ever after.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the model's settings")
    parser.add_argument("--name", required=True, help="name of the model in the configuration")
    parser.add_argument("--cache", type=Path, required=True, help="folder for downloads")
    parser.add_argument("--output", type=Path, required=True, help="lock file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.fetch.models import fetch_model
    from castex.files import read_json, write_json
    from castex.settings import ModelSettings

    settings = ModelSettings.model_validate(read_json(arguments.settings))
    folder = fetch_model(settings, arguments.cache)
    source = (
        {} if folder.repository is None else {"repository": folder.repository, "revision": folder.revision}
    )
    lock = {"model": arguments.name, "folder": str(folder.path), "files": folder.files, **source}
    write_json(arguments.output, lock | {"licence": settings.licence})


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["fetch", *sys.argv[1:]]))
