"""Mesh files to `Scene`: .glb, .gltf, .obj, .ply, .stl and .off, each checked before it is believed.

A file may come from anybody: whatever is wrong with it ends in one InputError that names the file, and
nothing outside the folder of the file is read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from castex.errors import InputError
from castex.scene import Scene
from castex.scene_file.gltf import read_gltf
from castex.scene_file.limits import Limits
from castex.scene_file.nearby import Nearby
from castex.scene_file.obj import read_obj
from castex.scene_file.plain import read_plain

READERS = {
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".obj": read_obj,
    ".ply": read_plain,
    ".stl": read_plain,
    ".off": read_plain,
}
UID = re.compile(r"[0-9a-f]{32}")

__all__ = ["Limits", "load_scene"]


def load_scene(path: Path, *, limits: Limits | None = None) -> Scene:
    """All triangles of a mesh file in world space, with their materials, attribution and notes.

    Positions are float64, so that an object far from the origin keeps its shape until it is normalised.
    Texture coordinates have their origin at the top left. Numbers may still be NaN or infinite where the file
    says so: `castex.repair.repaired` removes them. Where a file names no material, `Material()` is taken.

    InputError for an unknown suffix, a broken or truncated file, a file beyond the limits, a reference that
    leaves the folder, and a file without triangles (a point cloud).
    """
    limits = limits or Limits()
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is no mesh file that can be read; give one of {', '.join(READERS)}")
    try:
        scene = reader(path, Nearby(path.parent, limits), limits)
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error
    except MemoryError as error:
        raise InputError(f"{path} cannot be used: it does not fit into memory; reduce the mesh") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file") from error
    if not any(len(primitive.t_vertex_idx) for primitive in scene.primitives):
        raise InputError(f"{path} cannot be used: it holds no triangles; give a surface, no points or lines")
    if UID.fullmatch(path.stem):
        scene = replace(scene, attribution=replace(scene.attribution, uid=path.stem))
    return scene
