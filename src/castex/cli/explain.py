"""Say how a textured GLB was made: prompt, mesh, settings and model of each stage, versions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="GLB", help="textured.glb or provenance.json of `castex texture`"
    )
    parser.add_argument("--json", action="store_true", help="print the whole record")


def run(arguments: argparse.Namespace) -> None:
    import shlex

    from castex.files import json_text
    from castex.record import found_record, read_record, told

    record = read_record(arguments.file)
    if arguments.json:
        print(json_text(found_record(arguments.file)), end="")
        return
    print("\n".join(told(record)))
    print(f"again      castex reproduce {shlex.quote(str(arguments.file))}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["explain", *sys.argv[1:]]))
