"""Typed views into glTF buffers: every offset, stride and count is checked against the bytes that exist."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from castex.errors import InputError
from castex.scene_file.container import COMPRESSED
from castex.scene_file.entry import Entry, picked
from castex.scene_file.limits import Limits

COMPONENTS = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
INDEX_COMPONENTS = {5121, 5123, 5125}

Rows = Int64[np.ndarray, " rows"]


class Accessors:
    """The accessors of one file. Rows are picked before they are converted: many small primitives that share
    one large vertex buffer cost what they use."""

    def __init__(self, root: Entry, buffers: list[memoryview], limits: Limits) -> None:
        self._accessors = root.children("accessors")
        self._views = root.children("bufferViews")
        self._buffers = buffers
        # Every triangle may have vertices of its own.
        self._largest = 3 * limits.triangles
        self._sparse: dict[int, np.ndarray] = {}
        self._rows_left = 2 * self._largest

    def count(self, index: int) -> int:
        """Number of rows of an accessor, at most three per allowed triangle."""
        entry = picked(self._accessors, index, "accessors")
        count = entry.integer("count", low=1)
        if count > self._largest:
            raise InputError(
                f"its {entry.where} states {count} elements; at most {self._largest} are allowed"
            )
        return count

    def floats(self, index: int, width: int, rows: Rows | None = None) -> Float64[np.ndarray, "picked width"]:
        """The chosen rows as float64; normalised integers become [0, 1] or [-1, 1], others stay."""
        entry, values = self._stored(index, (width,))
        values = values if rows is None else values[rows]
        exact = values.astype(np.float64)
        if entry.flag("normalized") and values.dtype.kind in "iu":
            exact = np.maximum(exact / np.iinfo(values.dtype).max, -1.0)
        return exact

    def colours(self, index: int, rows: Rows) -> Float64[np.ndarray, "picked 3"]:
        """The chosen rows of a colour accessor, alpha left out; integers count as normalised."""
        _, values = self._stored(index, (3, 4))
        values = values[rows, :3]
        scale = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
        return values.astype(np.float64) / scale

    def integers(self, index: int, width: int, rows: Rows | None = None) -> Int64[np.ndarray, "picked width"]:
        """The chosen rows of an unsigned integer accessor."""
        entry, values = self._stored(index, (width,))
        if values.dtype.kind != "u":
            raise InputError(f"its {entry.where} holds {values.dtype} where indices belong; export it again")
        return (values if rows is None else values[rows]).astype(np.int64)

    def view_bytes(self, index: int) -> memoryview:
        """The bytes of a buffer view, as pictures use them."""
        view = picked(self._views, index, "bufferViews")
        for name, title in COMPRESSED.items():
            if view.extension(name) is not None:
                raise InputError(
                    f"its {view.where} is compressed with {title}; export it without compression"
                )
        buffer_index = view.integer("buffer")
        if buffer_index >= len(self._buffers):
            raise InputError(
                f"its {view.where} refers to the missing buffers[{buffer_index}]; export it again"
            )
        data = self._buffers[buffer_index]
        start, length = view.integer("byteOffset", 0), view.integer("byteLength", low=1)
        if start + length > len(data):
            raise InputError(
                f"its {view.where} ends at byte {start + length} of a buffer of {len(data)}; export it again"
            )
        return data[start : start + length]

    def _stored(self, index: int, widths: tuple[int, ...]) -> tuple[Entry, np.ndarray]:
        entry = picked(self._accessors, index, "accessors")
        kind = entry.text("type")
        if WIDTHS.get(kind) not in widths:
            raise InputError(
                f"its {entry.where} has the type {kind!r} where another belongs; export it again"
            )
        if not entry.has("sparse") and entry.has("bufferView"):
            return entry, self._dense(entry, index)
        if index not in self._sparse:
            self._sparse[index] = self._filled(entry, index)
        return entry, self._sparse[index]

    def _dense(self, entry: Entry, index: int) -> np.ndarray:
        shape = (self.count(index), WIDTHS[entry.text("type")])
        view = picked(self._views, entry.integer("bufferView"), "bufferViews")
        stride = view.integer("byteStride") if view.has("byteStride") else None
        return self._array(entry, entry.integer("bufferView"), entry.integer("byteOffset", 0), shape, stride)

    def _array(
        self, entry: Entry, view: int, offset: int, shape: tuple[int, int], stride: int | None
    ) -> np.ndarray:
        """A view without a copy: little-endian rows, `stride` bytes apart."""
        dtype = _component(entry).newbyteorder("<")
        row = shape[1] * dtype.itemsize
        step = row if stride is None else stride
        data = self.view_bytes(view)
        if step < row:
            raise InputError(f"its {entry.where} has rows of {row} bytes every {step} bytes; export it again")
        end = offset + (shape[0] - 1) * step + row
        if end > len(data):
            raise InputError(
                f"its {entry.where} ends at byte {end} of bufferViews[{view}], which has {len(data)}; "
                "export it again"
            )
        return np.ndarray(shape, dtype, data, offset, (step, dtype.itemsize))

    def _filled(self, entry: Entry, index: int) -> np.ndarray:
        shape = (self.count(index), WIDTHS[entry.text("type")])
        # Zeros that nothing replaces are one row, seen again and again.
        zeros = np.broadcast_to(np.zeros((1, shape[1]), _component(entry)), shape)
        dense = self._dense(entry, index) if entry.has("bufferView") else zeros
        sparse = entry.child("sparse")
        if sparse is None:
            return dense
        # These rows need memory of their own, which no buffer vouches for.
        self._rows_left -= shape[0]
        if self._rows_left < 0:
            raise InputError("its sparse accessors are too large together; export it again without them")
        count = sparse.integer("count", low=1)
        if count > shape[0]:
            raise InputError(f"its {sparse.where} replaces {count} of {shape[0]} elements; export it again")
        where, what = sparse.within("indices"), sparse.within("values")
        if where.integer("componentType") not in INDEX_COMPONENTS:
            raise InputError(f"its {where.where} are no unsigned integers; export the file again")
        rows = self._array(
            where, where.integer("bufferView"), where.integer("byteOffset", 0), (count, 1), None
        )
        if rows.max() >= shape[0]:
            raise InputError(
                f"its {where.where} reach element {rows.max()} of {shape[0]}; export the file again"
            )
        values = Entry({**what.value, "componentType": entry.value["componentType"]}, what.where)
        dense = np.array(dense)
        dense[rows[:, 0]] = self._array(
            values, what.integer("bufferView"), what.integer("byteOffset", 0), (count, shape[1]), None
        )
        return dense


def _component(entry: Entry) -> np.dtype[Any]:
    code = entry.integer("componentType")
    if code not in COMPONENTS:
        raise InputError(f"its {entry.where}.componentType {code} is unknown; export the file again")
    return np.dtype(COMPONENTS[code])
