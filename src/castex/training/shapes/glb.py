"""A mini mesh as a GLB (glTF 2.0) without pictures, and as files with their checksums."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from castex.errors import InputError
from castex.files import atomic_path
from castex.scene import Material, Scene

# Numbers of the glTF specification.
FLOAT, UNSIGNED_SHORT = 5126, 5123
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
MAGIC, VERSION, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
MOST_VERTICES = 65535


def glb_bytes(scene: Scene) -> bytes:
    """The file of a scene with one primitive, whose normals and texture coordinates are given.

    float32 attributes, uint16 indices, attribution in `asset.copyright` and `asset.extras`; equal scenes
    give equal bytes.
    """
    if len(scene.primitives) != 1 or len(scene.materials) != 1:
        raise InputError(f"a mini mesh has one primitive and one material, not {len(scene.primitives)}")
    (primitive,) = scene.primitives
    if primitive.v_normal is None or primitive.v_texcoord is None:
        raise InputError("a mini mesh needs normals and texture coordinates; build it with `shapes.build`")
    if len(primitive.v_position) > MOST_VERTICES:
        raise InputError(f"a mini mesh has at most {MOST_VERTICES} vertices, not {len(primitive.v_position)}")
    rows = [
        (primitive.v_position, "<f4", "VEC3"),
        (primitive.v_normal, "<f4", "VEC3"),
        (primitive.v_texcoord, "<f4", "VEC2"),
        (primitive.t_vertex_idx.reshape(-1), "<u2", "SCALAR"),
    ]
    binary = b""
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    for values, kind, shape in rows:
        content = np.ascontiguousarray(values, dtype=kind).tobytes()
        index = shape == "SCALAR"
        target = ELEMENT_ARRAY_BUFFER if index else ARRAY_BUFFER
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(content), "target": target})
        accessors.append(
            {
                "bufferView": len(accessors),
                "componentType": UNSIGNED_SHORT if index else FLOAT,
                "count": len(values),
                "type": shape,
            }
        )
        binary += content + b"\0" * (-len(content) % 4)
    accessors[0] |= {
        "min": primitive.v_position.min(0).tolist(),
        "max": primitive.v_position.max(0).tolist(),
    }
    return _container(_document(scene, accessors, views, len(binary)), binary)


def _document(
    scene: Scene, accessors: list[dict[str, Any]], views: list[dict[str, Any]], length: int
) -> dict[str, Any]:
    credit = scene.attribution
    primitive = {
        "attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2},
        "indices": 3,
        "material": 0,
    }
    return {
        "asset": {
            "version": "2.0",
            "generator": "castex make_meshes",
            "copyright": f"{credit.author}; {credit.licence}",
            "extras": {"title": credit.title, "author": credit.author, "license": credit.licence},
        },
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": credit.title}],
        "meshes": [{"name": credit.title, "primitives": [primitive]}],
        "materials": [_material(scene.materials[0])],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": length}],
    }


def _material(material: Material) -> dict[str, Any]:
    return {
        "name": material.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*material.albedo, 1.0],
            "metallicFactor": material.metallic,
            "roughnessFactor": material.roughness,
        },
    }


def _container(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text
    chunks += struct.pack("<II", len(binary), BIN_CHUNK) + binary
    return struct.pack("<III", MAGIC, VERSION, 12 + len(chunks)) + chunks


def write_glb(path: Path, scene: Scene) -> None:
    """Write a mini mesh, atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(glb_bytes(scene))
