"""Write a mesh with its maps as one GLB that Blender and browsers show with the right colours.

Writes <name>.glb, or <name>.obj and .mtl, with maps/*.png beside it. Without --maps the mesh's own
materials are baked into one atlas; a mesh without any becomes grey.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castex.maps import TextureMaps
    from castex.prepare import Prepared

DEFAULT_SIZE = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mesh", type=Path, help="glb, gltf, obj, ply or stl file")
    parser.add_argument("--maps", type=Path, help="folder with albedo.png and, if at hand, the other maps")
    parser.add_argument("--size", type=int, help=f"side of the atlas in texels (default: {DEFAULT_SIZE})")
    parser.add_argument("--front", default="+z", help="axis that the front of the mesh faces (default: +z)")
    parser.add_argument("--format", choices=("glb", "obj", "both"), default="glb", help="what to write")
    parser.add_argument("--output", type=Path, required=True, help="folder for the files")


def run(arguments: argparse.Namespace) -> None:
    from castex.export import credit, glb_file, map_folder, obj_files, portable, swapped_normals
    from castex.files import write_together
    from castex.maps_png import read_maps_png
    from castex.prepare import prepare
    from castex.scene_file import load_scene

    stem = _stem(arguments)
    given = read_maps_png(arguments.maps) if arguments.maps is not None else None
    size = _size(arguments, given)
    scene = load_scene(arguments.mesh)
    for note in scene.notes:
        print(note, file=sys.stderr)
    prepared = prepare(scene, front=arguments.front, size=size)
    maps = _maps(arguments, prepared, size) if given is None else swapped_normals(prepared.mesh, given)
    ready = portable(prepared.mesh, maps)
    files: dict[str, bytes] = {}
    if arguments.maps is None or arguments.maps.resolve() != (arguments.output / "maps").resolve():
        files |= map_folder(ready)
    if arguments.format != "glb":
        files |= obj_files(prepared.mesh, attribution=prepared.attribution, stem=stem)
    if arguments.format != "obj":
        files[f"{stem}.glb"] = glb_file(
            prepared.mesh,
            ready,
            attribution=prepared.attribution,
            provenance=_provenance(arguments, size),
        )
    write_together(arguments.output, files)
    for name in files:
        print(arguments.output / name)
    print(credit(prepared.attribution) or "the file names no author and no licence")


def _stem(arguments: argparse.Namespace) -> str:
    """A name without spaces, which OBJ cannot hold, that does not overwrite the mesh that is read."""
    import re

    from castex.errors import InputError

    stem = re.sub(r"[^\w.-]+", "_", arguments.mesh.stem).strip("._") or "textured"
    for suffix in (".glb", ".obj", ".mtl"):
        if (arguments.output / f"{stem}{suffix}").resolve() == arguments.mesh.resolve():
            raise InputError(f"{arguments.mesh} would be overwritten; choose another --output")
    return stem


def _size(arguments: argparse.Namespace, given: TextureMaps | None) -> int:
    from castex.errors import InputError

    if given is None:
        return DEFAULT_SIZE if arguments.size is None else int(arguments.size)
    height, width = given.albedo.shape[:2]
    if height != width:
        raise InputError(f"the maps are {width} x {height} texels; resize them to a square")
    if arguments.size not in (None, height):
        raise InputError(f"--size {arguments.size} is not the {height} of the maps; leave --size out")
    return int(height)


def _maps(arguments: argparse.Namespace, prepared: Prepared, size: int) -> TextureMaps:
    from castex.maps import grey_maps

    if prepared.maps is not None:
        return prepared.maps
    print(f"{arguments.mesh} has no materials: its maps are grey", file=sys.stderr)
    return grey_maps(size)


def _provenance(arguments: argparse.Namespace, size: int) -> dict[str, object]:
    """Hashes in place of paths: the same inputs give the same bytes anywhere."""
    from castex.files import fingerprint, sha256
    from castex.maps_png import missing_maps

    sources = {"mesh_sha256": sha256(arguments.mesh)}
    if arguments.maps is not None:
        missing = missing_maps(arguments.maps)
        if missing:
            print(f"{arguments.maps} has no {', '.join(missing)}: the grey start is used", file=sys.stderr)
        present = sorted(path for path in arguments.maps.glob("*.png") if path.stem not in missing)
        sources["maps_sha256"] = fingerprint({path.name: sha256(path) for path in present})
    return {**sources, "settings": fingerprint({"size": size, "front": arguments.front})}


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["export", *sys.argv[1:]]))
