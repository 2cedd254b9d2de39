"""Check what was made and, if it holds, copy it to the folder that is shipped.

A model must reach its yardstick; the meshes must be whole, and made by the code of this checkout.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="trained folder of the mini family with its yardstick")
    source.add_argument("--meshes", type=Path, help="folder that the rule make_meshes wrote")
    parser.add_argument("--autoencoder", type=Path, help="folder in which its autoencoder was trained")
    parser.add_argument("--output", type=Path, required=True, help="folder to ship into, under data/mini")
    parser.add_argument(
        "--sheet",
        type=Path,
        default=Path("data/assets.tsv"),
        help="asset sheet that states the meshes' hashes",
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.model is not None:
        _ship_model(arguments.model, arguments.output, arguments.autoencoder)
    else:
        _ship_meshes(arguments.meshes, arguments.output, arguments.sheet)


def _ship_meshes(source: Path, output: Path, sheet: Path) -> None:
    from castex.assets import read_sheet, record_files
    from castex.errors import WeightsError
    from castex.files import copy
    from castex.training.shapes import NAMES, build
    from castex.training.shapes.glb import glb_bytes
    from castex.weights import SUMS, verify

    read_sheet(sheet)
    found = set(verify(source).files)
    wanted = {f"{name}.glb" for name in NAMES}
    if found != wanted:
        odd = sorted(found ^ wanted)[0]
        raise WeightsError(f"{source} does not hold the {len(wanted)} mini meshes ({odd}); make them again")
    for name in NAMES:
        if (source / f"{name}.glb").read_bytes() != glb_bytes(build(name)):
            raise WeightsError(f"{source}/{name}.glb was made by other code; run `make_meshes` again")
    for name in (*sorted(wanted), SUMS):
        copy(source / name, output / name)
    changed = record_files(sheet, output)
    news = f"new hashes of {', '.join(changed)}" if changed else "the same hashes as before"
    print(f"shipped {len(wanted)} meshes to {output}; {news} in {sheet}")


def _ship_model(source: Path, output: Path, autoencoder: Path | None) -> None:
    from castex.training.family import ship

    ship(source, output, autoencoder)
    size = sum(path.stat().st_size for path in output.rglob("*.safetensors"))
    print(f"shipped {output}: {size / 1e6:.2f} MB of weights")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["ship_models", *sys.argv[1:]]))
