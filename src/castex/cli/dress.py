"""Dress a prepared mesh in a procedural material: its four texture maps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument(
        "--settings", type=Path, required=True, help="JSON file with material, colour, size, seed"
    )
    parser.add_argument("--output", type=Path, required=True, help="maps.safetensors to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.errors import InputError
    from castex.files import read_json
    from castex.maps_file import write_maps
    from castex.mesh import read_mesh
    from castex.settings.render import DressSettings
    from castex.training.materials import material_maps, texel_points

    settings = DressSettings.model_validate(read_json(arguments.settings))
    if settings.material is None or settings.colour is None:
        raise InputError(
            f"{arguments.settings} names no procedural material; the prepared maps are the asset's own"
        )
    points = texel_points(read_mesh(arguments.mesh), settings.size)
    write_maps(
        arguments.output, material_maps(points, settings.material, settings.colour, seed=settings.seed)
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["dress", *sys.argv[1:]]))
