"""Render a mesh with its own materials, or with given maps, under a panorama: PNG views or a turntable.

Writes view_000.png, view_001.png, ... and sheet.png; --turntable writes turntable.gif (and .mp4 where ffmpeg
is installed) instead. Pictures are sRGB, supersampled, on white or transparent.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castex.light import EnvironmentLight
    from castex.mesh import Mesh
    from castex.shot import Shot

FRAMES = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mesh", type=Path, metavar="MESH", help="glb, gltf, obj, ply or stl")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the pictures")
    parser.add_argument("--maps", type=Path, metavar="DIR", help="folder with albedo.png, roughness.png, ...")
    parser.add_argument("--hdri", type=Path, metavar="FILE", help=".hdr or .exr panorama")
    parser.add_argument("--light", default="studio", help="studio, sky or sunset, without --hdri (studio)")
    parser.add_argument("--intensity", type=float, default=1.0, help="factor on the light (1)")
    parser.add_argument("--light-rotation", type=float, default=0.0, metavar="DEGREES", help="about +Y (0)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--views", type=int, default=4, metavar="N", help="cameras around the object (4)")
    kind.add_argument("--evaluation", action="store_true", help="the 20 views of the benchmark")
    kind.add_argument("--turntable", action="store_true", help=f"{FRAMES} frames as a film")
    parser.add_argument(
        "--elevation", type=float, default=20.0, metavar="DEGREES", help="of the cameras (20)"
    )
    parser.add_argument(
        "--azimuth", type=float, default=30.0, metavar="DEGREES", help="of the first one (30)"
    )
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels (512)")
    parser.add_argument("--atlas", type=int, default=1024, help="side of the baked maps in texels (1024)")
    parser.add_argument("--transparent", action="store_true", help="alpha instead of a white background")
    parser.add_argument("--front", default="+z", help="axis that the front faces, as in --front=-x (+z)")
    parser.add_argument("--up", default="+y", help="axis that points up (+y)")
    parser.add_argument("--cache", type=Path, help="folder for prefiltered lights (~/.cache/castex)")


def run(arguments: argparse.Namespace) -> None:
    from castex.export import swapped_normals
    from castex.files import write_together
    from castex.film import gif_bytes, write_mp4
    from castex.maps import grey_maps
    from castex.maps_png import read_maps_png
    from castex.photograph import photographs, sheet, straight
    from castex.picture import png_bytes
    from castex.prepare import prepare
    from castex.progress import Progress
    from castex.scene_file import load_scene

    _check(arguments)
    given = read_maps_png(arguments.maps) if arguments.maps is not None else None
    made = prepare(load_scene(arguments.mesh), front=arguments.front, up=arguments.up, size=arguments.atlas)
    own = made.maps or grey_maps(arguments.atlas)
    maps = own if given is None else swapped_normals(made.mesh, given)
    light = _light(arguments)
    shot = _shot(arguments, made.mesh)
    progress = Progress("views", len(shot))
    pictures, files = [], {}
    views = photographs(made.mesh, maps, light, shot, size=arguments.size)
    for index, (picture, alpha) in enumerate(views):
        pictures.append(picture)
        if not arguments.turntable:
            shown = straight(picture, alpha, shot.background) if arguments.transparent else picture
            files[f"view_{index:03d}.png"] = png_bytes(shown)
        progress.update(index + 1)
    if arguments.turntable:
        files["turntable.gif"] = gif_bytes(pictures)
        if not write_mp4(arguments.output / "turntable.mp4", pictures):
            print("ffmpeg is not installed: turntable.mp4 is not written", file=sys.stderr)
    else:
        files["sheet.png"] = png_bytes(sheet(pictures, columns=min(len(pictures), 5)))
    write_together(arguments.output, files)
    for name in files:
        print(arguments.output / name)


def _check(arguments: argparse.Namespace) -> None:
    from castex.errors import InputError

    for name, low, high in (
        ("views", 1, 1000),
        ("size", 8, 4096),
        ("elevation", -90, 90),
        ("intensity", 0, 1e6),
    ):
        value = getattr(arguments, name)
        if not low <= value <= high:
            raise InputError(f"--{name} is {value:g}; choose between {low:g} and {high:g}")


def _shot(arguments: argparse.Namespace, mesh: Mesh) -> Shot:
    import dataclasses
    import math

    from castex.photograph import fitting_distance
    from castex.shot import evaluation_shot, orbit

    if arguments.evaluation:
        shot = evaluation_shot()
    else:
        views = FRAMES if arguments.turntable else arguments.views
        shot = orbit(views, elevation=arguments.elevation, start=arguments.azimuth)
        shot = dataclasses.replace(shot, distance=fitting_distance(mesh, shot.fov))
    return dataclasses.replace(shot, light_rotation=math.radians(arguments.light_rotation))


def _light(arguments: argparse.Namespace) -> EnvironmentLight:
    from castex.light import cached_light
    from castex.panorama import generated_panorama, read_panorama

    folder = arguments.cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "castex"
    if arguments.hdri is None:
        panorama = generated_panorama(arguments.light)
    else:
        panorama = read_panorama(arguments.hdri)
    light, found = cached_light(panorama, side=512 if arguments.hdri else 128, cache=folder)
    if not found:
        print(f"the light was prefiltered and is kept in {folder}", file=sys.stderr)
    return light.scaled(arguments.intensity)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["render", *sys.argv[1:]]))
