"""Write a target picture as PNG: a photograph bundled with scikit-image, or a copy of any image file."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", required=True, help="`skimage:<name>`, or the path of an image file")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.picture import bundled_picture, read_picture, write_picture

    library, _, name = arguments.source.partition(":")
    picture = bundled_picture(name) if library == "skimage" and name else read_picture(Path(arguments.source))
    write_picture(arguments.output, picture)


if __name__ == "__main__":
    import sys

    from castex.cli import main

    sys.exit(main(["picture", *sys.argv[1:]]))
