"""Bring one model of the configuration to this machine, check it, and record its files and hashes.

A local folder is checked in place. A repository is downloaded at its pinned revision into the cache; known
hashes are compared, unknown ones are recorded at the first download and compared ever after.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the model's settings")
    parser.add_argument("--name", required=True, help="name of the model; its folder inside the cache")
    parser.add_argument("--cache", type=Path, required=True, help="folder for downloads")
    parser.add_argument("--output", type=Path, required=True, help="lock file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.fetch import fetch_model
    from castex.files import write_json
    from castex.settings import ModelSettings

    settings = ModelSettings.model_validate_json(arguments.settings.read_text(encoding="utf-8"))
    folder = fetch_model(settings, arguments.cache / "models" / arguments.name)
    write_json(
        arguments.output,
        {
            "model": arguments.name,
            "folder": str(folder.path),
            "files": folder.files,
            "repository": settings.repository if settings.folder is None else None,
            "revision": settings.revision if settings.folder is None else None,
            "licence": settings.licence,
        },
    )


if __name__ == "__main__":
    import sys

    from castex.cli import main

    sys.exit(main(["fetch", *sys.argv[1:]]))
