"""Write a mesh with its maps as one GLB that Blender and browsers show with the right colours.

Writes <name>.glb, or <name>.obj and .mtl, with maps/*.png beside it. Without --maps the mesh's own
materials are baked into one atlas; a mesh without any becomes grey.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from castex.cli._mesh import add_mesh_arguments, atlas_size, fitted, given_maps, opened

if TYPE_CHECKING:
    from castex.prepare import Prepared

DEFAULT_SIZE = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_mesh_arguments(parser)
    parser.add_argument("--size", type=int, help=f"side of the atlas in texels (default: {DEFAULT_SIZE})")
    parser.add_argument("--format", choices=("glb", "obj", "both"), default="glb", help="what to write")
    parser.add_argument("--output", type=Path, required=True, help="folder for the files")


def run(arguments: argparse.Namespace) -> None:
    from castex.export import credit, glb_file, map_folder, obj_files, portable
    from castex.files import write_together
    from castex.maps import grey_maps

    stem = _stem(arguments)
    given = given_maps(arguments)
    size = atlas_size(arguments, given, arguments.size, DEFAULT_SIZE)
    made = opened(arguments, size)
    if given is None and made.maps is None:
        print(f"{arguments.mesh} has no materials: its maps are grey", file=sys.stderr)
    own = made.maps or grey_maps(size)
    maps = own if given is None else fitted(arguments, made, given)
    ready = portable(made.mesh, maps)
    files = map_folder(made.mesh, ready)
    if arguments.maps is not None and arguments.maps.resolve() == (arguments.output / "maps").resolve():
        # What stands there is what somebody painted: only what is missing beside it is written.
        files = {name: content for name, content in files.items() if not (arguments.output / name).is_file()}
    if arguments.format != "glb":
        files |= obj_files(made.mesh, attribution=made.attribution, stem=stem)
    if arguments.format != "obj":
        provenance = _provenance(arguments, made, size)
        files[f"{stem}.glb"] = glb_file(made.mesh, ready, attribution=made.attribution, provenance=provenance)
    write_together(arguments.output, files)
    for name in files:
        print(arguments.output / name)
    print(credit(made.attribution) or "the file names no author and no licence")


def _stem(arguments: argparse.Namespace) -> str:
    """A name without spaces, which OBJ cannot hold, that does not overwrite the mesh that is read."""
    import re

    from castex.errors import InputError

    stem = re.sub(r"[^\w.-]+", "_", arguments.mesh.resolve().stem).strip("._") or "textured"
    for suffix in (".glb", ".obj", ".mtl"):
        if (arguments.output / f"{stem}{suffix}").resolve() == arguments.mesh.resolve():
            raise InputError(f"{arguments.mesh} would be overwritten; choose another --output")
    return stem


def _provenance(arguments: argparse.Namespace, made: Prepared, size: int) -> dict[str, object]:
    """Hashes in place of paths: the same inputs give the same bytes anywhere."""
    from castex.files import fingerprint, sha256
    from castex.maps_png import NAMES

    folder = arguments.mesh / "mesh.safetensors"
    sources = {"mesh_sha256": sha256(folder if arguments.mesh.is_dir() else arguments.mesh)}
    if arguments.maps is not None:
        present = [path for name in NAMES if (path := arguments.maps / f"{name}.png").is_file()]
        sources["maps_sha256"] = fingerprint({path.name: sha256(path) for path in present})
    settings = {
        "size": size,
        "front": arguments.front,
        "up": arguments.up,
        "method": made.report.get("method", ""),
    }
    return {**sources, "settings": fingerprint(settings)}


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["export", *sys.argv[1:]]))
