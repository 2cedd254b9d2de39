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

from castex.cli._mesh import add_mesh_arguments, atlas_size, fitted, given_maps, opened

if TYPE_CHECKING:
    from castex.light import EnvironmentLight
    from castex.mesh import Mesh
    from castex.protocols import Image
    from castex.shot import Shot

FRAMES = 60
ATLAS = 1024
# All views are held until they are written together: 0.8 GB.
MOST_PIXELS = 2**26


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mesh_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the pictures")
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
    parser.add_argument("--atlas", type=int, help="side of the atlas in texels (1024, or that of --maps)")
    parser.add_argument("--transparent", action="store_true", help="alpha instead of a white background")
    parser.add_argument("--cache", type=Path, help="folder for prefiltered lights (~/.cache/castex)")


def run(arguments: argparse.Namespace) -> None:
    from castex.files import write_together
    from castex.film import gif_bytes
    from castex.maps import grey_maps
    from castex.photograph import photographs, sheet, straight
    from castex.picture import png_bytes
    from castex.progress import Progress

    _check(arguments)
    given = given_maps(arguments)
    size = atlas_size(arguments, given, arguments.atlas, ATLAS)
    made = opened(arguments, size)
    own = made.maps or grey_maps(size)
    maps = own if given is None else fitted(arguments, made, given)
    light = _light(arguments)
    shot = _shot(arguments, made.mesh)
    progress = Progress("views", len(shot))
    pictures, files = [], {}
    for index, (picture, alpha) in enumerate(photographs(made.mesh, maps, light, shot, size=arguments.size)):
        pictures.append(picture)
        if not arguments.turntable:
            shown = straight(picture, alpha, shot.background) if arguments.transparent else picture
            files[f"view_{index:03d}.png"] = png_bytes(shown)
        progress.update(index + 1)
    if arguments.turntable:
        files["turntable.gif"] = gif_bytes(pictures)
    else:
        files["sheet.png"] = png_bytes(sheet(pictures, columns=min(len(pictures), 5)))
    write_together(arguments.output, files)
    for name in files:
        print(arguments.output / name)
    if arguments.turntable:
        _film(arguments.output / "turntable.mp4", pictures)


def _film(path: Path, pictures: list[Image]) -> None:
    """The MP4 is an extra: whatever ffmpeg does, the GIF is there already."""
    from castex.errors import InputError
    from castex.film import write_mp4

    try:
        made = write_mp4(path, pictures)
    except InputError as error:
        print(error, file=sys.stderr)
        return
    if made:
        print(path)
    else:
        print(f"ffmpeg is not installed: {path.name} is not written", file=sys.stderr)


def _check(arguments: argparse.Namespace) -> None:
    from castex.errors import InputError

    for name, low, high in (
        ("views", 1, 1000),
        ("size", 8, 4096),
        ("elevation", -90, 90),
        ("azimuth", -1e6, 1e6),
        ("light_rotation", -1e6, 1e6),
        ("intensity", 0, 1e6),
    ):
        value = getattr(arguments, name)
        if not low <= value <= high:
            option = name.replace("_", "-")
            raise InputError(f"--{option} is {value:g}; choose between {low:g} and {high:g}")
    views = 20 if arguments.evaluation else FRAMES if arguments.turntable else arguments.views
    if views * arguments.size**2 > MOST_PIXELS:
        most = int((MOST_PIXELS / views) ** 0.5)
        raise InputError(f"--size is {arguments.size} for {views} views; choose at most {most}")


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
