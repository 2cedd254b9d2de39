"""All primitives of a scene as one surface, normalised, its front turned to +Z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from castex.errors import InputError
from castex.mesh import normalised, vertex_normals
from castex.scene import Material, Primitive, Scene

AXES = {
    "+x": (1, 0, 0), "-x": (-1, 0, 0), "+y": (0, 1, 0), "-y": (0, -1, 0), "+z": (0, 0, 1), "-z": (0, 0, -1),
}  # fmt: skip
SMALLEST_NORMAL = 1e-6


@dataclass(frozen=True)
class Surface:
    """Triangles of several materials over one vertex buffer."""

    v_position: Float[np.ndarray, "vertices 3"]
    """float32, centred, longest side 2."""
    v_normal: Float[np.ndarray, "vertices 3"]
    """Unit length."""
    v_texcoord: Float[np.ndarray, "vertices 2"]
    """Of the file, origin at the top left, repeating; 0 where it has none."""
    v_color: Float[np.ndarray, "vertices 3"]
    """Linear; 1 where the file has none."""
    t_vertex_idx: Int[np.ndarray, "triangles 3"]
    t_material: Int[np.ndarray, "triangles"]
    t_has_uv: Bool[np.ndarray, "triangles"]
    materials: tuple[Material, ...]
    colored: bool
    """Whether the file has vertex colours."""


def rotation(front: str, up: str = "+y") -> Float[np.ndarray, "3 3"]:
    """The rotation that turns axis `front` to +Z and axis `up` to +Y; InputError when there is none."""
    for axis in (front, up):
        if axis not in AXES:
            raise InputError(f"{axis!r} is no axis; choose one of {', '.join(AXES)}")
    forward, upward = np.array(AXES[front], dtype=np.float64), np.array(AXES[up], dtype=np.float64)
    if forward @ upward != 0:
        raise InputError(f"front {front} and up {up} lie on one line; choose two different axes")
    return np.stack([np.cross(upward, forward), upward, forward])


def merged(scene: Scene, turn: Float[np.ndarray, "3 3"]) -> Surface:
    """One surface of all primitives; InputError when there is no triangle.

    Normals of the file are kept where they have a length; others are the area-weighted mean of the faces.
    """
    parts = [part for part in scene.primitives if len(part.t_vertex_idx)]
    if not parts:
        raise InputError("the file holds no triangles; give a surface, not points or lines")
    counts = np.cumsum([0, *(len(part.v_position) for part in parts)])
    position = np.concatenate([part.v_position for part in parts]).astype(np.float64) @ turn.T
    triangles = np.concatenate(
        [part.t_vertex_idx + offset for part, offset in zip(parts, counts[:-1], strict=True)]
    ).astype(np.int64)
    materials = scene.materials or (Material(),)
    # Before float32: an object that is tiny, or far from the origin, keeps its shape.
    rounded = normalised(torch.from_numpy(position)).numpy().astype(np.float32)
    return Surface(
        v_position=rounded,
        v_normal=_normals(parts, rounded, triangles, turn),
        v_texcoord=_attribute(parts, "v_texcoord", 2, 0.0),
        v_color=_attribute(parts, "v_color", 3, 1.0),
        t_vertex_idx=triangles,
        t_material=_per_face(parts, [min(max(part.material, 0), len(materials) - 1) for part in parts]),
        t_has_uv=_per_face(parts, [part.v_texcoord is not None for part in parts]).astype(bool),
        materials=materials,
        colored=any(part.v_color is not None for part in parts),
    )


def _attribute(
    parts: list[Primitive], name: str, width: int, default: float
) -> Float[np.ndarray, "vertices width"]:
    columns = []
    for part in parts:
        given = getattr(part, name)
        filler = np.full((len(part.v_position), width), default, dtype=np.float32)
        columns.append(filler if given is None else given.astype(np.float32))
    return np.concatenate(columns)


def _per_face(parts: list[Primitive], values: list[int] | list[bool]) -> Int[np.ndarray, "triangles"]:
    return np.repeat(np.array(values, dtype=np.int64), [len(part.t_vertex_idx) for part in parts])


def _normals(
    parts: list[Primitive],
    position: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    turn: Float[np.ndarray, "3 3"],
) -> Float[np.ndarray, "vertices 3"]:
    given = _attribute(parts, "v_normal", 3, 0.0).astype(np.float64) @ turn.T
    with np.errstate(invalid="ignore"):
        length = np.linalg.norm(given, axis=1, keepdims=True)
    good = np.isfinite(length) & (length > SMALLEST_NORMAL)
    if good.all():
        return np.asarray(given / length, dtype=np.float32)
    computed = vertex_normals(torch.from_numpy(position), torch.from_numpy(triangles)).numpy()
    return np.where(good, given / np.where(good, length, 1), computed).astype(np.float32)
