"""Make the mini meshes: every object as a GLB, with SHA256SUMS."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="folder for <name>.glb and SHA256SUMS")


def run(arguments: argparse.Namespace) -> None:
    from castex.training.shapes import NAMES, build
    from castex.training.shapes.glb import write_glb
    from castex.weights import write_sums

    total = 0
    for name in NAMES:
        path = arguments.output / f"{name}.glb"
        write_glb(path, build(name))
        total += path.stat().st_size
    write_sums(arguments.output, [f"{name}.glb" for name in NAMES])
    print(f"{len(NAMES)} meshes, {total / 1e6:.2f} MB, in {arguments.output}")


if __name__ == "__main__":
    import sys

    from castex.cli import main

    sys.exit(main(["make_meshes", *sys.argv[1:]]))
