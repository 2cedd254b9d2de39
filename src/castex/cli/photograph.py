"""A prepared mesh in its maps, as people look at it: one sRGB picture with views side by side on white."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--maps", type=Path, required=True, help="maps.safetensors")
    parser.add_argument("--light", type=Path, required=True, help="prefiltered light")
    parser.add_argument(
        "--azimuths", type=float, nargs="+", default=[30.0], help="degrees from the front, one per view (30)"
    )
    parser.add_argument("--elevation", type=float, default=20.0, help="degrees above the horizon (20)")
    parser.add_argument("--size", type=int, default=256, help="side of a view in pixels (256)")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")


def run(arguments: argparse.Namespace) -> None:
    import dataclasses

    from castex.light import read_light
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.photograph import fitting_distance, photographs, sheet
    from castex.picture import write_picture
    from castex.shot import fixed_shot

    mesh = read_mesh(arguments.mesh)
    shot = fixed_shot(arguments.azimuths, [arguments.elevation] * len(arguments.azimuths))
    shot = dataclasses.replace(shot, distance=fitting_distance(mesh, shot.fov))
    maps, light = read_maps(arguments.maps), read_light(arguments.light)
    taken = [picture for picture, _ in photographs(mesh, maps, light, shot, size=arguments.size)]
    write_picture(arguments.output, sheet(taken, len(taken)))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["photograph", *sys.argv[1:]]))
