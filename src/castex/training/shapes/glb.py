"""A mini mesh as a GLB without pictures."""

from __future__ import annotations

from pathlib import Path

from castex.errors import InputError
from castex.files import atomic_path
from castex.glb import Geometry
from castex.glb import glb_bytes as container
from castex.scene import Scene


def glb_bytes(scene: Scene) -> bytes:
    """The file of a scene with one primitive, whose normals and texture coordinates are given.

    float32 attributes, uint16 indices, attribution in `asset.copyright` and `asset.extras`; equal scenes
    give equal bytes.
    """
    if len(scene.primitives) != 1 or len(scene.materials) != 1:
        raise InputError(f"a mini mesh has one primitive and one material, not {len(scene.primitives)}")
    (primitive,) = scene.primitives
    if primitive.v_normal is None or primitive.v_texcoord is None:
        raise InputError("a mini mesh needs normals and texture coordinates; build it with `shapes.build`")
    geometry = Geometry(
        v_position=primitive.v_position,
        v_normal=primitive.v_normal,
        v_texcoord=primitive.v_texcoord,
        t_vertex_idx=primitive.t_vertex_idx,
    )
    credit = scene.attribution
    asset = {
        "generator": "castex make_meshes",
        "copyright": f"{credit.author}; {credit.licence}",
        "extras": {"title": credit.title, "author": credit.author, "license": credit.licence},
    }
    return container(geometry, scene.materials[0], name=credit.title, asset=asset)


def write_glb(path: Path, scene: Scene) -> None:
    """Write a mini mesh, atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(glb_bytes(scene))
