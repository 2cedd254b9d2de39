"""Wavefront OBJ to `Scene`.

Own reader: the materials above need the physically based extensions, pictures must be measured before they
are decoded, and corners are joined only where position, texture coordinate and normal agree.
"""

from __future__ import annotations

import io
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from castex.errors import InputError
from castex.scene import Primitive, Scene
from castex.scene_file.colour import linear
from castex.scene_file.limits import Limits
from castex.scene_file.mtl import Library
from castex.scene_file.nearby import Nearby, shorten
from castex.scene_file.pictures import Pictures

MISSING = -1
LARGEST_INDEX = 2**31


@dataclass
class _Part:
    """Triangles of one material: corner numbers, and which corner has which number."""

    corners: dict[bytes, int] = field(default_factory=dict)
    triangles: array[int] = field(default_factory=lambda: array("q"))


class _Lines:
    """The running state of a file that is read line by line."""

    def __init__(self, library: Library, limits: Limits) -> None:
        self.numbers = {b"v": array("d"), b"vt": array("d"), b"vn": array("d")}
        self.colours = array("d")
        self.parts: dict[str, _Part] = {}
        self.others = 0
        self._part = _Part()
        self._material = ""
        self._library = library
        self._limits = limits
        self._left = limits.triangles

    def line(self, words: list[bytes]) -> None:
        """Take one line in; ValueError and IndexError mean that it is broken."""
        key = words[0]
        if key == b"v":
            self.numbers[key].extend((float(words[1]), float(words[2]), float(words[3])))
            # Six numbers are a colour behind the position; four would be a weight, which surfaces ignore.
            if len(words) >= 7:
                self.colours.extend((float(words[4]), float(words[5]), float(words[6])))
        elif key == b"vt":
            self.numbers[key].extend((float(words[1]), float(words[2]) if len(words) > 2 else 0.0))
        elif key == b"vn":
            self.numbers[key].extend((float(words[1]), float(words[2]), float(words[3])))
        elif key == b"f":
            self._face(words)
        elif key == b"usemtl":
            self._material = b" ".join(words[1:]).decode("utf-8", errors="replace")
        elif key == b"mtllib":
            self._library.read(b" ".join(words[1:]).decode("utf-8", errors="replace"))
        elif key in (b"p", b"l", b"curv", b"curv2", b"surf"):
            self.others += 1

    def _face(self, words: list[bytes]) -> None:
        part = self.parts.setdefault(self._material, self._part)
        if part is self._part:
            self._part = _Part()
        if len(words) < 4:
            raise InputError(f"a face has {len(words) - 1} corners; it needs three")
        self._left -= len(words) - 3
        if self._left < 0:
            raise InputError(f"it has more than {self._limits.triangles} triangles; reduce the mesh")
        corners = part.corners
        numbered = [
            corners.setdefault(word if b"-" not in word else self._absolute(word), len(corners))
            for word in words[1:]
        ]
        for second, third in pairwise(numbered[1:]):
            part.triangles.extend((numbered[0], second, third))

    def _absolute(self, word: bytes) -> bytes:
        """A corner whose negative indices count back from the latest line, as positive ones."""
        counts = (len(self.numbers[b"v"]) // 3, len(self.numbers[b"vt"]) // 2, len(self.numbers[b"vn"]) // 3)
        pieces = []
        for piece, count in zip(word.split(b"/"), counts, strict=False):
            index = int(piece) if piece else 0
            pieces.append(b"%d" % (index + count + 1 if index < 0 else index) if piece else b"")
        return b"/".join(pieces)


def read_obj(path: Path, nearby: Nearby, limits: Limits) -> Scene:
    """All faces of an OBJ, one primitive per material; polygons become fans of triangles.

    v of the file points up, so it is flipped. A missing material file or picture becomes a note.
    """
    pictures = Pictures(limits)
    library = Library(nearby, pictures)
    lines = _Lines(library, limits)
    for number, words in _logical_lines(nearby.mesh(path)):
        try:
            lines.line(words)
        except InputError:
            raise
        except (ValueError, IndexError) as error:
            text = shorten(b" ".join(words).decode("utf-8", errors="replace"))
            raise InputError(f"line {number} ({text!r}) cannot be read; export it again") from error
    if not lines.numbers[b"v"]:
        raise InputError("it holds no vertices; give an OBJ file with a surface")
    values = {key: _table(lines.numbers[key], width) for key, width in ((b"v", 3), (b"vt", 2), (b"vn", 3))}
    values[b"vt"][:, 1] = 1 - values[b"vt"][:, 1]
    colours = _colours(lines, len(values[b"v"]))
    notes: dict[str, None] = {}
    if lines.others:
        notes["its points, lines and free-form surfaces are left out"] = None
    primitives = tuple(
        _primitive(part, values, colours, material, notes)
        for material, part in enumerate(lines.parts.values())
    )
    materials = tuple(library.material(name) for name in lines.parts)
    return Scene(primitives, materials, notes=(*notes, *library.notes, *pictures.notes))


def _logical_lines(data: bytes):  # type: ignore[no-untyped-def]
    """Numbered lines as words, without comments; a backslash joins a line with the next."""
    pending: list[bytes] = []
    for number, line in enumerate(io.BytesIO(data), start=1):
        words = line.partition(b"#")[0].split() if b"#" in line else line.split()
        if words and words[-1].endswith(b"\\"):
            pending += [*words[:-1], *([words[-1][:-1]] if len(words[-1]) > 1 else [])]
            continue
        words = pending + words
        pending = []
        if words:
            yield number, words


def _table(numbers: array[float], width: int) -> Float64[np.ndarray, "rows width"]:
    return np.array(numbers, np.float64).reshape(-1, width)


def _colours(lines: _Lines, count: int) -> Float64[np.ndarray, "vertices 3"] | None:
    colours = _table(lines.colours, 3)
    if len(colours) != count or not np.isfinite(colours).all():
        return None
    scale = 255.0 if colours.max() > 1 else 1.0
    return linear(np.clip(colours / scale, 0, 1))


def _primitive(
    part: _Part,
    values: dict[bytes, np.ndarray],
    colours: Float64[np.ndarray, "all 3"] | None,
    material: int,
    notes: dict[str, None],
) -> Primitive:
    table = _corner_table(list(part.corners), [len(values[key]) for key in (b"v", b"vt", b"vn")])
    position, texcoord, normal = table.T
    v_texcoord = None
    if (texcoord != MISSING).any():
        v_texcoord = np.where(texcoord[:, None] != MISSING, values[b"vt"][texcoord], 0.0)
        if (texcoord == MISSING).any():
            notes["some of its faces have no texture coordinates and take (0, 0)"] = None
    return Primitive(
        values[b"v"][position],
        np.array(part.triangles, np.int64).reshape(-1, 3),
        material,
        values[b"vn"][normal] if (normal != MISSING).all() else None,
        v_texcoord,
        None if colours is None else colours[position],
    )


def _corner_table(words: list[bytes], counts: list[int]) -> Int64[np.ndarray, "corners 3"]:
    """Zero-based position, texture coordinate and normal of each `v/vt/vn`, -1 where it names none."""
    rows = []
    for word in words:
        pieces = word.split(b"/")
        try:
            row = [int(piece) if piece else 0 for piece in pieces]
        except ValueError as error:
            raise InputError(f"a face has the corner {shorten(str(word))}; export it again") from error
        if (
            len(row) > 3
            or row[0] == 0
            or not all(0 <= i <= count for i, count in zip(row, counts, strict=False))
        ):
            raise InputError(
                f"a face has the corner {shorten(word.decode(errors='replace'))!r}, which is not among its "
                f"{counts[0]} vertices, {counts[1]} texture coordinates, {counts[2]} normals; export it again"
            )
        rows.append(row + [0] * (3 - len(row)))
    return np.array(rows, np.int64) - 1
