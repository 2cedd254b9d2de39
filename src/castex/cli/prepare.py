"""Make a mesh file ready: one mesh, one atlas, its materials baked into four maps, and a report.

A mesh without any material gets no maps; from a lock file of `castex fetch_asset` it gets the grey start.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from castex.cli._mesh import add_axes

if TYPE_CHECKING:
    from castex.scene import Scene
    from castex.settings.assets import PrepareSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("mesh", type=Path, nargs="?", metavar="MESH", help="glb, gltf, obj, ply or stl")
    source.add_argument("--lock", type=Path, metavar="FILE", help="lock file of a fetched asset instead")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument("--settings", type=Path, help="JSON file with size, keep_uv and time_limit_s")
    add_axes(parser)
    parser.add_argument("--size", type=int, default=1024, help="side of the maps in texels (default 1024)")
    parser.add_argument(
        "--rewrap", action="store_true", help="make a new atlas even if the file has a good one"
    )
    parser.add_argument(
        "--time-limit", type=float, default=45.0, metavar="SECONDS",
        help="for xatlas; then a box projection is used (default 45)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    import dataclasses

    from castex.files import json_text, tensor_bytes, write_together
    from castex.maps import grey_maps
    from castex.maps_file import maps_bytes
    from castex.prepare import prepare

    settings = _settings(arguments)
    scene, front = _scene(arguments)
    made = prepare(
        scene,
        front=front,
        up=arguments.up,
        size=settings.size,
        keep_uv=settings.keep_uv,
        time_limit_s=settings.time_limit_s,
    )
    maps = grey_maps(settings.size) if made.maps is None and arguments.lock else made.maps
    fields = dataclasses.fields(made.mesh)
    contents = {"mesh.safetensors": tensor_bytes({f.name: getattr(made.mesh, f.name) for f in fields})}
    if maps is not None:
        contents["maps.safetensors"] = maps_bytes(maps)
    contents["report.json"] = json_text(made.report).encode()
    write_together(arguments.output, contents)
    if maps is None:  # of an earlier mesh, whose materials these are not
        (arguments.output / "maps.safetensors").unlink(missing_ok=True)
    print(made.report["reason"])


def _settings(arguments: argparse.Namespace) -> PrepareSettings:
    from castex.files import read_json
    from castex.settings.assets import PrepareSettings

    if arguments.settings is not None:
        return PrepareSettings.model_validate(read_json(arguments.settings))
    return PrepareSettings(
        size=arguments.size, keep_uv=not arguments.rewrap, time_limit_s=arguments.time_limit
    )


def _scene(arguments: argparse.Namespace) -> tuple[Scene, str]:
    """The scene and the axis of its front; a lock knows more of the author than the file may."""
    import dataclasses

    from castex.assets import mesh_of_lock
    from castex.scene import Attribution
    from castex.scene_file import load_scene

    if arguments.lock is None:
        return load_scene(arguments.mesh), arguments.front
    path, front, attribution = mesh_of_lock(arguments.lock)
    scene = load_scene(path)
    if attribution != Attribution():
        scene = dataclasses.replace(scene, attribution=attribution)
    return scene, front or arguments.front


if __name__ == "__main__":
    import sys

    from castex.cli import main

    sys.exit(main(["prepare", *sys.argv[1:]]))
