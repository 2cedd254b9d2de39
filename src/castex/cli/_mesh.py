"""What `render` and `export` share: a mesh file or a prepared folder, how it stands, and maps that fit it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castex.maps import TextureMaps
    from castex.prepare import Prepared


def add_mesh_arguments(parser: argparse.ArgumentParser) -> None:
    """The mesh, its axes, its atlas, and maps to wear."""
    parser.add_argument(
        "mesh", type=Path, metavar="MESH", help="glb, gltf, obj, ply or stl; or a folder of `castex prepare`"
    )
    parser.add_argument(
        "--maps", type=Path, metavar="DIR", help="folder with albedo.png and, if at hand, the other maps"
    )
    add_axes(parser)
    parser.add_argument("--rewrap", action="store_true", help="make a new atlas even if the file has one")
    parser.add_argument(
        "--time-limit", type=float, default=45.0, metavar="SECONDS", help="for xatlas (default 45)"
    )


def add_axes(parser: argparse.ArgumentParser) -> None:
    """The two axes of the file that say how the object stands."""
    parser.add_argument(
        "--front", default="+z", help="axis that the front faces, as in --front=-x (default +z)"
    )
    parser.add_argument("--up", default="+y", help="axis that points up (default +y)")


def opened(arguments: argparse.Namespace, size: int) -> Prepared:
    """The mesh with its own maps of `size` texels (None without materials); notes go to standard error."""
    from castex.prepare import prepare
    from castex.scene_file import load_scene

    if arguments.mesh.is_dir():
        return _from_folder(arguments.mesh)
    scene = load_scene(arguments.mesh)
    for note in scene.notes:
        print(note, file=sys.stderr)
    return prepare(
        scene,
        front=arguments.front,
        up=arguments.up,
        size=size,
        keep_uv=not arguments.rewrap,
        time_limit_s=arguments.time_limit,
    )


def _from_folder(folder: Path) -> Prepared:
    from castex.errors import InputError
    from castex.files import read_json
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.prepare import Prepared
    from castex.scene import Attribution

    report = read_json(folder / "report.json")
    path = folder / "maps.safetensors"
    try:
        attribution = Attribution(**report["attribution"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder}/report.json names no attribution; run `castex prepare` again") from error
    maps = read_maps(path) if path.is_file() else None
    return Prepared(read_mesh(folder / "mesh.safetensors"), maps, report, attribution)


def given_maps(arguments: argparse.Namespace) -> TextureMaps | None:
    """The maps of --maps as they are in the files; what is missing among them is said."""
    from castex.maps_png import missing_maps, read_maps_png

    if arguments.maps is None:
        return None
    maps = read_maps_png(arguments.maps)
    missing = missing_maps(arguments.maps)
    if missing:
        print(f"{arguments.maps} has no {', '.join(missing)}: the grey start is used", file=sys.stderr)
    return maps


def atlas_size(
    arguments: argparse.Namespace, given: TextureMaps | None, size: int | None, default: int
) -> int:
    """Side of the atlas: that of given maps, whose layout it decides, else the one asked for."""
    from castex.errors import InputError

    if given is None:
        return default if size is None else size
    height, width = given.albedo.shape[:2]
    if height != width:
        raise InputError(
            f"the maps of {arguments.maps} are {width} x {height} texels; resize them to a square"
        )
    if size not in (None, height):
        raise InputError(f"the maps of {arguments.maps} have {height} texels, not {size}; leave the size out")
    return int(height)


def fitted(arguments: argparse.Namespace, made: Prepared, given: TextureMaps) -> TextureMaps:
    """Given maps in the renderer's convention; InputError when they were made for another atlas."""
    from castex.export import check_atlas, swapped_normals

    check_atlas(arguments.maps, made.mesh)
    return swapped_normals(made.mesh, given)
