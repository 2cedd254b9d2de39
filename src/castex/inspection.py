"""What a scene holds and what `prepare` would do with it, without unwrapping anything."""

from __future__ import annotations

import dataclasses
from typing import Any

from castex.prepare import described, has_materials
from castex.repair import repaired
from castex.scene import Scene
from castex.surface import merged, rotation
from castex.uv.choice import choose
from castex.uv.unwrap import FACE_LIMIT


def inspected(scene: Scene, *, front: str = "+z", up: str = "+y") -> dict[str, Any]:
    """JSON-able facts: counts, `uv` (as `uv_report`, or None), repair, notes, attribution, and `prepare`.

    `front` and `up` as `prepare` takes them. InputError where `prepare` would refuse the scene too.
    """
    turn = rotation(front, up)
    mended, repair = repaired(scene)
    surface = merged(mended, turn)
    choice = choose(surface)
    faces = len(surface.t_vertex_idx)
    if choice.layout is not None:
        plan = f"would keep the texture coordinates, because {choice.reason}"
    elif faces > FACE_LIMIT:
        plan = f"would make a new atlas by box projection, because {choice.reason}"
        plan += f" and {faces} triangles are too many for xatlas"
    else:
        plan = f"would make a new atlas with xatlas, or else by box projection, because {choice.reason}"
    materials = "would bake the materials" if has_materials(surface) else "has no materials to bake"
    return described(scene, surface) | {
        "uv": choice.report,
        "repair": {name: int(count) for name, count in repair.items()},
        "notes": list(mended.notes),
        "attribution": dataclasses.asdict(scene.attribution),
        "prepare": f"{plan}; {materials}",
    }
