"""The node graph of a glTF file, walked without recursion, and skins in the pose of the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from castex.errors import InputError
from castex.scene_file.accessors import Accessors
from castex.scene_file.entry import Entry, picked

Matrix = Float64[np.ndarray, "4 4"]
Matrices = Float64[np.ndarray, "matrices 4 4"]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
# For a vertex without weights.
FIRST_JOINT = np.array([1.0, 0.0, 0.0, 0.0])
# Vertices that are skinned at once: the matrices of each are 96 bytes per joint.
BLOCK = 100_000


@dataclass(frozen=True)
class Placement:
    """One mesh at one place of the scene."""

    mesh: int
    world: Matrix
    skin: int | None


def walked(root: Entry) -> tuple[list[Placement], dict[int, Matrix]]:
    """All meshes of the default scene with their world transforms, and the transforms of all its nodes.

    The first scene stands in where none is named, all nodes without a parent where there is no scene.
    InputError when a node is reached twice: then the graph has a cycle, or is no tree.
    """
    nodes = root.children("nodes")
    placements: list[Placement] = []
    world: dict[int, Matrix] = {}
    stack = [(index, np.eye(4)) for index in reversed(_roots(root, nodes))]
    while stack:
        index, parent = stack.pop()
        node = picked(nodes, index, "nodes")
        if index in world:
            raise InputError(f"its node graph reaches {node.where} twice, so it is no tree; export it again")
        with np.errstate(all="ignore"):
            world[index] = parent @ _local(node)
        mesh = node.index("mesh")
        if mesh is not None:
            placements.append(Placement(mesh, world[index], node.index("skin")))
        stack.extend((child, world[index]) for child in reversed(node.integers("children")))
    return placements, world


def _roots(root: Entry, nodes: list[Entry]) -> list[int]:
    scenes = root.children("scenes")
    if scenes:
        return picked(scenes, root.integer("scene", 0), "scenes").integers("nodes")
    inner = {child for node in nodes for child in node.integers("children")}
    return [index for index in range(len(nodes)) if index not in inner]


def _local(node: Entry) -> Matrix:
    if node.has("matrix"):
        return np.array(node.numbers("matrix", IDENTITY)).reshape(4, 4).T
    x, y, z, w = node.numbers("rotation", (0.0, 0.0, 0.0, 1.0))
    length = float(np.linalg.norm((x, y, z, w)))
    if length == 0:
        raise InputError(f"its {node.where}.rotation is zero, no rotation; export the file again")
    x, y, z, w = x / length, y / length, z / length, w / length
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    local = np.eye(4)
    local[:3, :3] = rotation * np.array(node.numbers("scale", (1.0, 1.0, 1.0)))
    local[:3, 3] = node.numbers("translation", (0.0, 0.0, 0.0))
    return local


def moved(
    positions: Float64[np.ndarray, "n 3"], normals: Float64[np.ndarray, "n 3"] | None, matrices: Matrices
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"] | None]:
    """Points and normals under one matrix, or under one matrix each.

    Normals go by the inverse transpose, computed as cofactors so that a flat transform is no special case.
    """
    linear = matrices[:, :3, :3]
    with np.errstate(all="ignore"):
        placed = _times(linear, positions) + matrices[:, :3, 3]
        if normals is None:
            return placed, None
        rows = linear[:, 0], linear[:, 1], linear[:, 2]
        cofactors = np.stack(
            [np.cross(rows[1], rows[2]), np.cross(rows[2], rows[0]), np.cross(rows[0], rows[1])], axis=1
        )
        mirrored = np.where(np.linalg.det(linear) < 0, -1.0, 1.0)
        turned = _times(cofactors * mirrored[:, None, None], normals)
        return placed, turned / np.linalg.norm(turned, axis=1, keepdims=True)


def _times(matrices: Float64[np.ndarray, "matrices 3 3"], vectors: Float64[np.ndarray, "n 3"]) -> np.ndarray:
    single = len(matrices) == 1
    product: np.ndarray = vectors @ matrices[0].T if single else np.einsum("nij,nj->ni", matrices, vectors)
    return product


def skin_matrices(skin: Entry, world: dict[int, Matrix], accessors: Accessors) -> Matrices | None:
    """Per joint: its world transform times its inverse bind matrix. None when a joint is not in the scene."""
    joints = skin.integers("joints")
    if not joints or any(joint not in world for joint in joints):
        return None
    transforms = np.stack([world[joint] for joint in joints])
    inverse = skin.index("inverseBindMatrices")
    if inverse is None:
        return transforms
    if accessors.count(inverse) < len(joints):
        raise InputError(f"its {skin.where} has fewer inverse bind matrices than joints; export it again")
    stored = accessors.floats(inverse, 16, np.arange(len(joints))).reshape(-1, 4, 4)
    with np.errstate(all="ignore"):
        combined: np.ndarray = transforms @ stored.transpose(0, 2, 1)
    return combined


def skinned(
    positions: Float64[np.ndarray, "n 3"],
    normals: Float64[np.ndarray, "n 3"] | None,
    joints: Int64[np.ndarray, "n 4"],
    weights: Float64[np.ndarray, "n 4"],
    matrices: Matrices,
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"] | None]:
    """Points and normals in the pose that the joints have in the file, block by block."""
    if joints.size and joints.max() >= len(matrices):
        raise InputError(
            f"a vertex refers to joint {joints.max()} of a skin with {len(matrices)}; export it again"
        )
    parts = []
    for start in range(0, len(positions), BLOCK):
        block = slice(start, start + BLOCK)
        with np.errstate(all="ignore"):
            total = weights[block].sum(axis=1, keepdims=True)
            share = np.where(total > 0, weights[block] / total, FIRST_JOINT)
            blended = sum(share[:, k, None, None] * matrices[joints[block, k]] for k in range(4))
        parts.append(
            moved(positions[block], None if normals is None else normals[block], np.asarray(blended))
        )
    placed = np.concatenate([part[0] for part in parts])
    turned = [part[1] for part in parts if part[1] is not None]
    return placed, np.concatenate(turned) if turned else None
