"""Small GLB files built in code, byte by byte, for tests of the reader and of everything behind it."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


def packed(gltf: dict[str, Any] | bytes, binary: bytes = b"") -> bytes:
    """A GLB file of a JSON object (or of raw bytes in its place) and a binary chunk."""
    text = gltf if isinstance(gltf, bytes) else json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        body += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def png(pixels: np.ndarray) -> bytes:
    """A picture as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


class Glb:
    """A glTF file that grows: `gltf` may be edited freely before it is written."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.gltf: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "nodes": [],
            "meshes": [],
            "accessors": [],
            "bufferViews": [],
            "buffers": [{"byteLength": 0}],
        }

    def view(self, content: bytes, **more: Any) -> int:
        """A buffer view of new bytes."""
        self.binary += b"\0" * (-len(self.binary) % 4)
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content), **more}
        self.gltf["bufferViews"].append(view)
        self.binary += content
        return len(self.gltf["bufferViews"]) - 1

    def accessor(self, values: np.ndarray, **more: Any) -> int:
        """An accessor of its own view; the component type follows the array."""
        rows = values.reshape(len(values), -1)
        self.gltf["accessors"].append(
            {
                "bufferView": self.view(np.ascontiguousarray(rows).tobytes()),
                "componentType": COMPONENTS[values.dtype.str[1:]],
                "count": len(rows),
                "type": KINDS[rows.shape[1]],
                **more,
            }
        )
        return len(self.gltf["accessors"]) - 1

    def primitive(
        self, v_position: np.ndarray, t_vertex_idx: np.ndarray | None = None, **attributes: np.ndarray
    ) -> dict[str, Any]:
        """Triangles in float32; further attributes by their glTF names."""
        made: dict[str, Any] = {"attributes": {"POSITION": self.accessor(np.asarray(v_position, np.float32))}}
        for name, values in attributes.items():
            made["attributes"][name] = self.accessor(values)
        if t_vertex_idx is not None:
            made["indices"] = self.accessor(np.asarray(t_vertex_idx, np.uint32).reshape(-1, 1))
        return made

    def node(self, *primitives: dict[str, Any], **more: Any) -> int:
        """A node of the scene with a mesh of these primitives."""
        self.gltf["meshes"].append({"primitives": list(primitives)})
        self.gltf["nodes"].append({"mesh": len(self.gltf["meshes"]) - 1, **more})
        self.gltf["scenes"][0]["nodes"].append(len(self.gltf["nodes"]) - 1)
        return len(self.gltf["nodes"]) - 1

    def texture(self, picture: bytes, **more: Any) -> int:
        """A texture with an embedded picture."""
        images, textures = self.gltf.setdefault("images", []), self.gltf.setdefault("textures", [])
        images.append({"bufferView": self.view(picture), "mimeType": "image/png"})
        textures.append({"source": len(images) - 1, **more})
        return len(textures) - 1

    def material(self, **content: Any) -> int:
        """A material."""
        materials = self.gltf.setdefault("materials", [])
        materials.append(content)
        return len(materials) - 1

    def data(self) -> bytes:
        """The file's bytes."""
        self.gltf["buffers"][0]["byteLength"] = max(len(self.binary), 1)
        return packed(self.gltf, bytes(self.binary))

    def write(self, path: Path) -> Path:
        """Write the file and return its path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data())
        return path


def sphere(rings: int = 8, sides: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A closed unit sphere wound outwards, with a latitude-longitude layout that has a seam."""
    v, u = np.meshgrid(np.linspace(0, 1, rings + 1), np.linspace(0, 1, sides + 1), indexing="ij")
    theta, phi = np.pi * v, 2 * np.pi * (u % 1)
    v_position = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], axis=-1)
    v_position[0], v_position[-1] = (0, 1, 0), (0, -1, 0)
    corner = np.arange((rings + 1) * (sides + 1)).reshape(rings + 1, sides + 1)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    lower, upper = np.stack([a, b, c], axis=-1)[:-1], np.stack([a, c, d], axis=-1)[1:]
    triangles = np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)])
    return v_position.reshape(-1, 3), triangles, np.stack([u, v], axis=-1).reshape(-1, 2)


def good(picture: np.ndarray | None = None) -> Glb:
    """A valid file that uses much of the format: a textured sphere, instanced, under two nodes."""
    glb = Glb()
    v_position, t_vertex_idx, v_texcoord = sphere()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8) if picture is None else picture
    texture = glb.texture(png(pixels))
    material = glb.material(
        name="paint",
        pbrMetallicRoughness={
            "baseColorTexture": {"index": texture},
            "metallicRoughnessTexture": {"index": texture},
            "baseColorFactor": [1, 0.5, 0.25, 1],
        },
        normalTexture={"index": texture, "scale": 0.5},
    )
    primitive = glb.primitive(
        v_position,
        t_vertex_idx,
        NORMAL=v_position.astype(np.float32),
        TEXCOORD_0=v_texcoord.astype(np.float32),
    )
    primitive["material"] = material
    first = glb.node(primitive, translation=[1, 0, 0])
    glb.gltf["nodes"].append({"mesh": 0, "scale": [-1, 1, 1], "children": []})
    glb.gltf["nodes"].append({"children": [first, 1], "rotation": [0, 1, 0, 0]})
    glb.gltf["scenes"][0]["nodes"] = [2]
    glb.gltf["asset"]["extras"] = {"author": "A", "title": "B", "license": "CC0-1.0", "source": "https://c"}
    return glb
