"""Surfaces that hurt: degenerate, non-finite, non-manifold, without size or with too much of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from glb import Glb, sphere
from hostile_case import Case, named

ISLANDS = 100_000


def simple(folder: Path, name: str, v_position, t_vertex_idx, v_texcoord=None) -> Path:
    """One primitive in a GLB file."""
    glb = Glb()
    more = {} if v_texcoord is None else {"TEXCOORD_0": np.asarray(v_texcoord, np.float32)}
    glb.node(glb.primitive(v_position, t_vertex_idx, **more))
    return glb.write(folder / f"{name}.glb")


def zero_area(folder: Path) -> Path:
    """A third of the triangles are points or needles."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    t_vertex_idx[::3, 1] = t_vertex_idx[::3, 0]
    v_position[5] = v_position[6]
    return simple(folder, "zero_area", v_position, t_vertex_idx, v_texcoord)


def all_zero_area(folder: Path) -> Path:
    """Every triangle is a line."""
    line = np.stack([np.arange(30.0), np.zeros(30), np.zeros(30)], axis=1)
    return simple(folder, "all_zero_area", line, np.arange(30).reshape(-1, 3))


def one_point(folder: Path) -> Path:
    """All vertices coincide."""
    return simple(folder, "one_point", np.full((30, 3), 7.0), np.arange(30).reshape(-1, 3))


def duplicate_vertices(folder: Path) -> Path:
    """No triangle shares a vertex, and all triangles stand twice."""
    v_position, t_vertex_idx, _ = sphere()
    corners = np.tile(v_position[t_vertex_idx].reshape(-1, 3), (2, 1))
    return simple(folder, "duplicate_vertices", corners, np.arange(len(corners)).reshape(-1, 3))


def nan_vertices(folder: Path) -> Path:
    """A few NaN corners."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    v_position[20:23, 1] = np.nan
    return simple(folder, "nan_vertices", v_position, t_vertex_idx, v_texcoord)


def infinite_vertices(folder: Path) -> Path:
    """A few infinite corners."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    v_position[20:23, 1] = np.inf, -np.inf, 3e38
    return simple(folder, "infinite_vertices", v_position, t_vertex_idx, v_texcoord)


def all_nan(folder: Path) -> Path:
    """Nothing but NaN."""
    v_position, t_vertex_idx, _ = sphere()
    return simple(folder, "all_nan", v_position * np.nan, t_vertex_idx)


def nan_texcoords(folder: Path) -> Path:
    """Half of the texture coordinates are NaN."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    v_texcoord[::2] = np.nan
    return simple(folder, "nan_texcoords", v_position, t_vertex_idx, v_texcoord)


def all_nan_texcoords(folder: Path) -> Path:
    """All texture coordinates are NaN."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    return simple(folder, "all_nan_texcoords", v_position, t_vertex_idx, v_texcoord * np.nan)


def zero_texcoords(folder: Path) -> Path:
    """A layout without area."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    return simple(folder, "zero_texcoords", v_position, t_vertex_idx, v_texcoord * 0)


def overlapping_texcoords(folder: Path) -> Path:
    """Every triangle covers the whole picture."""
    v_position, t_vertex_idx, _ = sphere()
    corners = v_position[t_vertex_idx].reshape(-1, 3)
    v_texcoord = np.tile([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], (len(t_vertex_idx), 1))
    return simple(
        folder, "overlapping_texcoords", corners, np.arange(len(corners)).reshape(-1, 3), v_texcoord
    )


def outside_texcoords(folder: Path) -> Path:
    """Texture coordinates between -3 and 5."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    return simple(folder, "outside_texcoords", v_position, t_vertex_idx, v_texcoord * 8 - 3)


def no_texcoords(folder: Path) -> Path:
    """A plain surface."""
    v_position, t_vertex_idx, _ = sphere()
    return simple(folder, "no_texcoords", v_position, t_vertex_idx)


def nan_normals(folder: Path) -> Path:
    """Normals that are NaN or zero."""
    glb = Glb()
    v_position, t_vertex_idx, _ = sphere()
    normals = v_position.astype(np.float32)
    normals[::3], normals[1::3] = np.nan, 0
    glb.node(glb.primitive(v_position, t_vertex_idx, NORMAL=normals))
    return glb.write(folder / "nan_normals.glb")


def non_manifold(folder: Path) -> Path:
    """Ten leaves on one edge."""
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    leaves = np.stack([np.cos(angle), np.sin(angle), np.zeros(10)], axis=1)
    v_position = np.concatenate([[(0, 0, -1), (0, 0, 1)], leaves])
    return simple(folder, "non_manifold", v_position, [(0, 1, 2 + k) for k in range(10)])


def bow_tie(folder: Path) -> Path:
    """Two cones that touch in one vertex."""
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.stack([np.cos(angle), np.ones(8), np.sin(angle)], axis=1)
    v_position = np.concatenate([[(0, 0, 0)], ring, ring * (1, -1, 1)])
    upper = [(0, 1 + (k + 1) % 8, 1 + k) for k in range(8)]
    return simple(folder, "bow_tie", v_position, upper + [(a, c + 8, b + 8) for a, b, c in upper])


def flipped_winding(folder: Path) -> Path:
    """Every other triangle is inside out."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    t_vertex_idx[::2] = t_vertex_idx[::2, ::-1]
    return simple(folder, "flipped_winding", v_position, t_vertex_idx, v_texcoord)


def one_triangle(folder: Path) -> Path:
    """The smallest surface."""
    return simple(folder, "one_triangle", np.eye(3), [(0, 1, 2)])


def needle(folder: Path) -> Path:
    """Triangles a million times longer than wide."""
    x = np.linspace(0, 1, 40)
    v_position = np.stack([x, 1e-6 * (np.arange(40) % 2), np.zeros(40)], axis=1)
    return simple(folder, "needle", v_position, [(k, k + 1, k + 2) for k in range(38)])


def islands(folder: Path) -> Path:
    """A hundred thousand triangles that share nothing."""
    rng = np.random.default_rng(0)
    corners = rng.random((ISLANDS, 1, 3)) + 0.002 * rng.standard_normal((ISLANDS, 3, 3))
    return simple(folder, "islands", corners.reshape(-1, 3), np.arange(3 * ISLANDS).reshape(-1, 3))


def far_from_origin(folder: Path) -> Path:
    """A unit sphere ten million units away, placed there by its node."""
    glb = Glb()
    v_position, t_vertex_idx, v_texcoord = sphere()
    glb.node(
        glb.primitive(v_position, t_vertex_idx, TEXCOORD_0=v_texcoord.astype(np.float32)),
        translation=[1e7, 0, -1e7],
    )
    return glb.write(folder / "far_from_origin.glb")


def tiny(folder: Path) -> Path:
    """A sphere of 1e-20 units."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    return simple(folder, "tiny", v_position * 1e-20, t_vertex_idx, v_texcoord)


def huge(folder: Path) -> Path:
    """A sphere of 1e20 units."""
    v_position, t_vertex_idx, v_texcoord = sphere()
    return simple(folder, "huge", v_position * 1e20, t_vertex_idx, v_texcoord)


def flat_node(folder: Path) -> Path:
    """A node that scales one axis to nothing."""
    glb = Glb()
    v_position, t_vertex_idx, _ = sphere()
    glb.node(glb.primitive(v_position, t_vertex_idx, NORMAL=v_position.astype(np.float32)), scale=[1, 1, 0])
    return glb.write(folder / "flat_node.glb")


def two_materials(folder: Path) -> Path:
    """Two primitives with materials of their own, one without texture coordinates."""
    glb = Glb()
    v_position, t_vertex_idx, v_texcoord = sphere()
    left = glb.primitive(v_position, t_vertex_idx, TEXCOORD_0=v_texcoord.astype(np.float32))
    right = glb.primitive(v_position + np.array((3, 0, 0)), t_vertex_idx)
    left["material"] = glb.material(pbrMetallicRoughness={"baseColorFactor": [1, 0, 0, 1]})
    right["material"] = glb.material(pbrMetallicRoughness={"roughnessFactor": 0.1}, alphaMode="BLEND")
    glb.node(left, right)
    return glb.write(folder / "two_materials.glb")


def point_cloud_glb(folder: Path) -> Path:
    """Points (mode 0) only."""
    glb = Glb()
    glb.node({**glb.primitive(np.random.default_rng(0).random((100, 3))), "mode": 0})
    return glb.write(folder / "point_cloud_glb.glb")


def point_cloud_ply(folder: Path) -> Path:
    """A PLY without faces."""
    path = folder / "point_cloud.ply"
    header = "ply\nformat ascii 1.0\nelement vertex 3\n"
    header += "property float x\nproperty float y\nproperty float z\nend_header\n"
    path.write_text(header + "0 0 0\n1 0 0\n0 1 0\n")
    return path


def point_cloud_obj(folder: Path) -> Path:
    """An OBJ without faces."""
    path = folder / "point_cloud.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\np 1 2 3\n")
    return path


USED: dict[str, Case] = named(
    zero_area,
    duplicate_vertices,
    nan_vertices,
    infinite_vertices,
    nan_texcoords,
    all_nan_texcoords,
    zero_texcoords,
    overlapping_texcoords,
    outside_texcoords,
    no_texcoords,
    nan_normals,
    non_manifold,
    bow_tie,
    flipped_winding,
    one_triangle,
    needle,
    islands,
    far_from_origin,
    tiny,
    huge,
    flat_node,
    two_materials,
)
REFUSED: dict[str, Case] = named(
    all_zero_area,
    one_point,
    all_nan,
    point_cloud_glb,
    point_cloud_ply,
    point_cloud_obj,
)
