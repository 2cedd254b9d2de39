"""A mesh file as it is: triangles in world space with their materials, before any preparation.

Arrays are numpy: nothing here is differentiated. Colour factors are linear, colour pictures sRGB bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, UInt8

Picture = UInt8[np.ndarray, "_height _width 3"]


@dataclass(frozen=True)
class Material:
    """The metallic-roughness material of glTF 2.0, reduced to what CasTex has maps for."""

    name: str = "material"
    albedo: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Linear factor, multiplied with the picture."""
    roughness: float = 1.0
    metallic: float = 0.0
    normal_scale: float = 1.0
    albedo_picture: Picture | None = None
    """sRGB bytes."""
    roughness_picture: UInt8[np.ndarray, "_height _width"] | None = None
    metallic_picture: UInt8[np.ndarray, "_height _width"] | None = None
    normal_picture: Picture | None = None
    """(n + 1) / 2 as bytes, +Y (green) up, as in glTF."""


@dataclass(frozen=True)
class Primitive:
    """Triangles of one material, in world space (+Y up, front +Z)."""

    v_position: Float[np.ndarray, "vertices 3"]
    t_vertex_idx: Int[np.ndarray, "triangles 3"]
    material: int = 0
    """Index into the scene's materials."""
    v_normal: Float[np.ndarray, "vertices 3"] | None = None
    v_texcoord: Float[np.ndarray, "vertices 2"] | None = None
    """Origin at the top left of the picture, v down; values outside [0, 1] repeat the picture."""
    v_color: Float[np.ndarray, "vertices 3"] | None = None
    """Linear vertex colours, multiplied with the albedo."""


@dataclass(frozen=True)
class Attribution:
    """Who made the object; travels into every file that shows it. Empty strings where unknown."""

    title: str = ""
    author: str = ""
    licence: str = ""
    source: str = ""
    uid: str = ""


@dataclass(frozen=True)
class Scene:
    """A whole file, flattened."""

    primitives: tuple[Primitive, ...]
    materials: tuple[Material, ...]
    attribution: Attribution = Attribution()
    notes: tuple[str, ...] = field(default=())
    """One sentence per thing that was found in the file and cannot be kept (emission, alpha, skinning)."""
