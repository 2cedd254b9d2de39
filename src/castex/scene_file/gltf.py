"""glTF 2.0 to `Scene`, read directly from JSON and buffers.

A general mesh library follows cyclic node graphs, takes NaN for a number, and keeps neither the index of the
texture coordinates nor their transforms; here every field is checked and these are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from castex.errors import InputError
from castex.scene import Attribution, Primitive, Scene
from castex.scene_file.accessors import Accessors
from castex.scene_file.container import COMPRESSED, read_container
from castex.scene_file.entry import Entry, picked
from castex.scene_file.gltf_material import Materials
from castex.scene_file.limits import Limits
from castex.scene_file.nearby import Nearby
from castex.scene_file.nodes import Matrices, Placement, moved, skin_matrices, skinned, walked
from castex.scene_file.pictures import Pictures

TRIANGLES, STRIP, FAN = 4, 5, 6
LONGEST_TEXT = 300

Triangles = Int64[np.ndarray, "triangles 3"]


def read_gltf(path: Path, nearby: Nearby, limits: Limits) -> Scene:
    """All triangles of the default scene in world space; InputError for anything broken."""
    root, buffers = read_container(path, nearby, limits)
    return _Reader(root, buffers, nearby, limits).scene()


class _Reader:
    def __init__(self, root: Entry, buffers: list[memoryview], nearby: Nearby, limits: Limits) -> None:
        self._root = root
        self._limits = limits
        self._accessors = Accessors(root, buffers, limits)
        self._pictures = Pictures(limits)
        self._materials = Materials(root, self._accessors, nearby, self._pictures)
        self._meshes = [mesh.children("primitives") for mesh in root.children("meshes")]
        self._skins = root.children("skins")
        self._notes: dict[str, None] = {}
        self._triangles_left = limits.triangles

    def scene(self) -> Scene:
        """The flattened scene."""
        placements, world = walked(self._root)
        if self._root.has("animations"):
            self._note("its animations are left out")
        primitives = []
        for placement in placements:
            if placement.mesh >= len(self._meshes):
                raise InputError(f"it refers to the missing meshes[{placement.mesh}]; export it again")
            matrices = self._bones(placement, world)
            for entry in self._meshes[placement.mesh]:
                primitives.append(self._primitive(entry, placement, matrices))
        return Scene(
            tuple(primitive for primitive in primitives if primitive is not None),
            tuple(self._materials.materials),
            attribution(self._root),
            (*self._notes, *self._materials.notes(), *self._pictures.notes),
        )

    def _note(self, sentence: str) -> None:
        self._notes[sentence] = None

    def _bones(self, placement: Placement, world: dict[int, np.ndarray]) -> Matrices | None:
        if placement.skin is None:
            return None
        matrices = skin_matrices(picked(self._skins, placement.skin, "skins"), world, self._accessors)
        self._note(
            "its skeleton is left out; the mesh keeps the pose of the file"
            if matrices is not None
            else "its skeleton is not in the scene; the mesh is taken as it stands"
        )
        return matrices

    def _primitive(self, entry: Entry, placement: Placement, matrices: Matrices | None) -> Primitive | None:
        for name, title in COMPRESSED.items():
            if entry.extension(name) is not None:
                raise InputError(
                    f"its {entry.where} is compressed with {title}; export it without compression"
                )
        if entry.has("targets"):
            self._note("its morph targets are left out; the base shape is taken")
        mode = entry.integer("mode", TRIANGLES)
        if mode not in (TRIANGLES, STRIP, FAN):
            self._note("its points and lines are left out")
            return None
        attributes = entry.within("attributes")
        position = attributes.integer("POSITION")
        count = self._accessors.count(position)
        corners = self._corners(entry, mode, count)
        if len(corners) == 0:
            self._note("a part without triangles is left out")
            return None
        rows, inverse = np.unique(corners, return_inverse=True)
        t_vertex_idx = inverse.reshape(-1, 3).astype(np.int64)
        placed, normals, mirrored = self._placed(attributes, position, rows, placement, matrices)
        material, v_texcoord = self._materials.resolved(
            entry.index("material"), self._texcoords(attributes, rows)
        )
        return Primitive(
            placed,
            t_vertex_idx[:, ::-1].copy() if mirrored else t_vertex_idx,
            material,
            normals,
            v_texcoord,
            self._colours(attributes, rows),
        )

    def _corners(self, entry: Entry, mode: int, count: int) -> Triangles:
        """Vertex indices of all triangles, checked against the number of vertices and the allowed total."""
        indices = entry.index("indices")
        number = count if indices is None else self._accessors.count(indices)
        self._triangles_left -= number // 3 if mode == TRIANGLES else max(number - 2, 0)
        if self._triangles_left < 0:
            raise InputError(
                f"its scene has more than {self._limits.triangles} triangles; reduce the mesh and try again"
            )
        run = np.arange(count) if indices is None else self._accessors.integers(indices, 1)[:, 0]
        if run.max() >= count:
            raise InputError(f"its {entry.where} refers to vertex {run.max()} of {count}; export it again")
        if mode == TRIANGLES:
            if len(run) % 3:
                self._note("a part ends in the middle of a triangle, which is left out")
            return run[: len(run) // 3 * 3].reshape(-1, 3)
        if mode == FAN:
            return np.stack([run[1:-1], run[2:], np.full(max(len(run) - 2, 0), run[0])], axis=1)
        strip = np.stack([run[:-2], run[1:-1], run[2:]], axis=1)
        strip[1::2] = strip[1::2, [0, 2, 1]]
        return strip

    def _placed(
        self,
        attributes: Entry,
        position: int,
        rows: Int64[np.ndarray, " rows"],
        placement: Placement,
        matrices: Matrices | None,
    ) -> tuple[Float64[np.ndarray, "rows 3"], Float64[np.ndarray, "rows 3"] | None, bool]:
        """World positions, world normals, and whether the transform mirrors (and so turns the winding)."""
        positions = self._accessors.floats(position, 3, rows)
        normals = self._attribute(attributes, "NORMAL", 3, rows)
        joints, weights = attributes.index("JOINTS_0"), self._attribute(attributes, "WEIGHTS_0", 4, rows)
        if matrices is None or joints is None or weights is None:
            linear = placement.world[:3, :3]
            with np.errstate(all="ignore"):
                mirrored = bool(np.linalg.det(linear) < 0)
            return *moved(positions, normals, placement.world[None]), mirrored
        self._check_count(attributes, "JOINTS_0")
        bones = self._accessors.integers(joints, 4, rows)
        with np.errstate(all="ignore"):
            mirrored = bool(np.median(np.linalg.det(matrices[:, :3, :3])) < 0)
        return *skinned(positions, normals, bones, weights, matrices), mirrored

    def _attribute(
        self, attributes: Entry, name: str, width: int, rows: Int64[np.ndarray, " rows"]
    ) -> Float64[np.ndarray, "rows width"] | None:
        index = attributes.index(name)
        if index is None:
            return None
        self._check_count(attributes, name)
        return self._accessors.floats(index, width, rows)

    def _check_count(self, attributes: Entry, name: str) -> None:
        count, expected = (self._accessors.count(attributes.integer(key)) for key in (name, "POSITION"))
        if count != expected:
            raise InputError(
                f"its {attributes.where} has {expected} positions but {count} {name}; export it again"
            )

    def _texcoords(
        self, attributes: Entry, rows: Int64[np.ndarray, " rows"]
    ) -> Callable[[int], np.ndarray | None]:
        return lambda number: self._attribute(attributes, f"TEXCOORD_{number}", 2, rows)

    def _colours(
        self, attributes: Entry, rows: Int64[np.ndarray, " rows"]
    ) -> Float64[np.ndarray, "rows 3"] | None:
        """Linear vertex colours; None where all are white."""
        index = attributes.index("COLOR_0")
        if index is None:
            return None
        self._check_count(attributes, "COLOR_0")
        colours = self._accessors.colours(index, rows)
        return None if bool((colours == 1).all()) else colours


def attribution(root: Entry) -> Attribution:
    """Author, title, licence and source as Sketchfab's exports state them; else the copyright line."""
    asset = root.within("asset")
    extras = asset.value.get("extras")
    stated = extras if isinstance(extras, dict) else {}
    author = _text(stated.get("author")) or _text(asset.value.get("copyright"))
    licence = _text(stated.get("license")) or _text(stated.get("licence"))
    uid = _text(stated.get("uid"))
    return Attribution(_text(stated.get("title")), author, licence, _text(stated.get("source")), uid)


def _text(value: object) -> str:
    """One printable line of at most 300 characters; empty for anything but a string."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value)[:LONGEST_TEXT].strip()
