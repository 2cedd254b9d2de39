"""From a file's scene to what is textured: one mesh, one atlas, the file's own materials baked into it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from castex.bake import bake_maps
from castex.errors import InputError
from castex.maps import TextureMaps
from castex.mesh import Mesh, with_tangents
from castex.repair import repaired
from castex.scene import Attribution, Material, Scene
from castex.settings.assets import LARGEST_ATLAS, SMALLEST_ATLAS
from castex.surface import Surface, merged, rotation
from castex.uv.choice import Layout, choose
from castex.uv.report import uv_report
from castex.uv.unwrap import FACE_LIMIT, unwrap

LARGEST_LAYOUT = 2048
"""xatlas packs on a grid of this many texels at most; a finer one takes longer and fits no more."""
PADDING = 2
PICTURES = ("albedo_picture", "roughness_picture", "metallic_picture", "normal_picture")


@dataclass(frozen=True)
class Prepared:
    """A mesh that is ready to be textured."""

    mesh: Mesh
    maps: TextureMaps | None
    """The file's own materials; None when it says nothing about any."""
    report: dict[str, Any]
    """JSON-able, the same for the same input: what was found, dropped, kept and made."""
    attribution: Attribution


def prepare(
    scene: Scene,
    *,
    front: str = "+z",
    up: str = "+y",
    size: int = 1024,
    keep_uv: bool = True,
    time_limit_s: float = 45.0,
    face_limit: int = FACE_LIMIT,
) -> Prepared:
    """Repair, turn, normalise, unwrap where needed, and bake the materials at `size` x `size` texels.

    `front` and `up` are the axes of the file (+x ... -z) that become +Z and +Y. The file's texture
    coordinates are kept when they are a valid atlas and `keep_uv` allows it; otherwise xatlas gets
    `time_limit_s` seconds, and a box projection stands in for it. InputError in one sentence for anything
    that cannot be textured.
    """
    if not SMALLEST_ATLAS <= size <= LARGEST_ATLAS:
        raise InputError(f"size={size} texels; choose between {SMALLEST_ATLAS} and {LARGEST_ATLAS}")
    turn = rotation(front, up)
    mended, repair = repaired(scene)
    surface = merged(mended, turn)
    choice = choose(surface, keep_uv=keep_uv)
    if choice.layout is not None:
        made, t_source_idx, method = choice.layout, None, "file"
        reason = f"The file's texture coordinates are kept, because {choice.reason}."
    else:
        new = unwrap(
            surface.v_position, surface.t_vertex_idx, time_limit_s=time_limit_s, face_limit=face_limit,
            resolution=min(size, LARGEST_LAYOUT), padding=PADDING,
        )  # fmt: skip
        made = Layout(new.v_source_idx, new.t_vertex_idx, new.v_texcoord)
        t_source_idx, method = new.t_source_idx, new.method
        reason = f"A new atlas was made, because {choice.reason}"
        reason += f"; {new.reason}." if new.reason else "."
    mesh = with_tangents(
        torch.from_numpy(surface.v_position[made.v_source_idx]),
        torch.from_numpy(surface.v_normal[made.v_source_idx]),
        torch.from_numpy(made.v_texcoord),
        torch.from_numpy(made.t_vertex_idx),
    )
    maps = None
    if has_materials(surface):
        maps = bake_maps(surface, mesh, t_source_idx, size=size)
    report = {
        "front": front,
        "up": up,
        "size": size,
        "repair": {name: int(count) for name, count in repair.items()},
        "before": described(scene, surface) | {"uv": choice.report},
        "after": _after(mesh),
        "uv_kept": choice.layout is not None,
        "method": method,
        "reason": reason,
        "maps": maps is not None,
        "notes": list(mended.notes),
        "attribution": dataclasses.asdict(scene.attribution),
    }
    return Prepared(mesh, maps, report, scene.attribution)


def has_materials(surface: Surface) -> bool:
    """Whether the file says anything about colours, pictures or factors."""
    used = (surface.materials[k] for k in np.unique(surface.t_material))
    return surface.colored or any(_says_something(material) for material in used)


def _says_something(material: Material) -> bool:
    if any(getattr(material, name) is not None for name in PICTURES):
        return True
    plain = Material(name=material.name)
    return material != plain


def described(scene: Scene, surface: Surface) -> dict[str, int]:
    """How much a file holds, as it is: faces, vertices, primitives, and the materials and pictures in use."""
    used = [surface.materials[k] for k in np.unique(surface.t_material)]
    pictures = {id(getattr(material, name)) for material in used for name in PICTURES} - {id(None)}
    return {
        "faces": sum(len(part.t_vertex_idx) for part in scene.primitives),
        "vertices": sum(len(part.v_position) for part in scene.primitives),
        "primitives": len(scene.primitives),
        "materials": len(used),
        "pictures": len(pictures),
    }


def _after(mesh: Mesh) -> dict[str, float | int]:
    layout = uv_report(mesh.v_texcoord.numpy(), mesh.t_vertex_idx.numpy(), mesh.v_position.numpy())
    return {"faces": len(mesh.t_vertex_idx), "vertices": len(mesh.v_position), **layout}
