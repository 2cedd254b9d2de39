"""The bytes of a GLB: one mesh, one primitive, one material (glTF 2.0, core only).

Written here rather than by trimesh, whose exporter renames TANGENT to _TANGENT and leaves out buffer
targets: Khronos' validator then warns of a missing tangent space, and of nothing with this writer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from castex.scene import Material

# Numbers of the glTF specification.
FLOAT, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5123, 5125
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR, REPEAT = 9729, 9987, 10497
MAGIC, VERSION, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
# The largest value of an index type restarts a primitive in some APIs, so glTF forbids it.
MOST_SHORT_VERTICES = 65535

Rows = Float[np.ndarray, "vertices channels"]


@dataclass(frozen=True)
class Geometry:
    """One primitive as glTF holds it: unit normals, tangents with the bitangent's sign as fourth number."""

    v_position: Float[np.ndarray, "vertices 3"]
    v_normal: Float[np.ndarray, "vertices 3"]
    v_texcoord: Float[np.ndarray, "vertices 2"]
    """Origin at the top left, v down."""
    t_vertex_idx: Int[np.ndarray, "triangles 3"]
    v_tangent: Float[np.ndarray, "vertices 4"] | None = None
    """Needed only where a normal map is."""


@dataclass(frozen=True)
class Pictures:
    """The three PNG files inside: albedo (sRGB), occlusion-roughness-metallic (linear), normal (linear)."""

    albedo: bytes
    packed: bytes
    normal: bytes


@dataclass
class _Binary:
    """The binary chunk while it grows, with the views and accessors that point into it."""

    content: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes at the next multiple of 4; the number of their view."""
        self.content.extend(b"\0" * (-len(self.content) % 4))
        place = {"buffer": 0, "byteOffset": len(self.content), "byteLength": len(content)}
        self.views.append(place if target is None else {**place, "target": target})
        self.content.extend(content)
        return len(self.views) - 1

    def attribute(self, rows: Rows, *, bounds: bool = False) -> int:
        """Append one vertex attribute as float32; the number of its accessor."""
        values = np.ascontiguousarray(rows, dtype="<f4")
        accessor: dict[str, Any] = {
            "bufferView": self.view(values.tobytes(), ARRAY_BUFFER),
            "componentType": FLOAT,
            "count": len(values),
            "type": f"VEC{values.shape[1]}",
        }
        if bounds:
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def indices(self, t_vertex_idx: Int[np.ndarray, "triangles 3"], vertices: int) -> int:
        """Append the triangles with the smallest index type that holds them; the number of the accessor."""
        short = vertices <= MOST_SHORT_VERTICES
        values = np.ascontiguousarray(t_vertex_idx, dtype="<u2" if short else "<u4")
        self.accessors.append(
            {
                "bufferView": self.view(values.tobytes(), ELEMENT_ARRAY_BUFFER),
                "componentType": UNSIGNED_SHORT if short else UNSIGNED_INT,
                "count": values.size,
                "type": "SCALAR",
            }
        )
        return len(self.accessors) - 1


def glb_bytes(geometry: Geometry, look: Pictures | Material, *, name: str, asset: Mapping[str, Any]) -> bytes:
    """The whole file; equal arguments give equal bytes.

    `look` is the pictures of the atlas, or the factors of a plain material. `asset` is glTF's `asset` object
    without its version. The material is double-sided and the texture repeats, because the renderer culls
    nothing and repeats it.
    """
    binary = _Binary()
    attributes = {
        "POSITION": binary.attribute(geometry.v_position, bounds=True),
        "NORMAL": binary.attribute(geometry.v_normal),
    }
    if geometry.v_tangent is not None:
        attributes["TANGENT"] = binary.attribute(geometry.v_tangent)
    attributes["TEXCOORD_0"] = binary.attribute(geometry.v_texcoord)
    indices = binary.indices(geometry.t_vertex_idx, len(geometry.v_position))
    dressed = _textured(look, name, binary) if isinstance(look, Pictures) else {"materials": [_plain(look)]}
    document = {
        "asset": {**asset, "version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [
            {"name": name, "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}
        ],
        **dressed,
        "accessors": binary.accessors,
        "bufferViews": binary.views,
        "buffers": [{"byteLength": len(binary.content)}],
    }
    return _container(document, bytes(binary.content))


def _textured(pictures: Pictures, name: str, binary: _Binary) -> dict[str, Any]:
    """The part of the document that shows pictures."""
    images = [
        {"name": label, "mimeType": "image/png", "bufferView": binary.view(content)}
        for label, content in (
            ("albedo", pictures.albedo),
            ("occlusion-roughness-metallic", pictures.packed),
            ("normal", pictures.normal),
        )
    ]
    material = {
        "name": name,
        "pbrMetallicRoughness": {
            "baseColorTexture": {"index": 0},
            "metallicRoughnessTexture": {"index": 1},
            "baseColorFactor": [1, 1, 1, 1],
            "roughnessFactor": 1,
            "metallicFactor": 1,
        },
        "occlusionTexture": {"index": 1},
        "normalTexture": {"index": 2},
        "doubleSided": True,
    }
    sampler = {
        "magFilter": LINEAR,
        "minFilter": LINEAR_MIPMAP_LINEAR,
        "wrapS": REPEAT,
        "wrapT": REPEAT,
    }
    return {
        "materials": [material],
        "textures": [{"sampler": 0, "source": k} for k in range(len(images))],
        "images": images,
        "samplers": [sampler],
    }


def _plain(material: Material) -> dict[str, Any]:
    return {
        "name": material.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*material.albedo, 1.0],
            "metallicFactor": material.metallic,
            "roughnessFactor": material.roughness,
        },
        "doubleSided": True,
    }


def _container(document: Mapping[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text
    chunks += struct.pack("<II", len(binary), BIN_CHUNK) + binary
    return struct.pack("<III", MAGIC, VERSION, 12 + len(chunks)) + chunks
