"""Write the YAML schema of the configuration files, generated from the settings classes."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="schema file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.config import config_schema
    from castex.files import write_text

    write_text(arguments.output, config_schema())


if __name__ == "__main__":
    import sys

    from castex.cli import main

    sys.exit(main(["schema", *sys.argv[1:]]))
