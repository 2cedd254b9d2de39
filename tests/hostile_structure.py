"""glTF files whose structure lies: cycles, bombs, links, truncation."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from glb import Glb, good, packed, sphere
from hostile_case import Case, named
from hostile_surfaces import simple


def edited(folder: Path, name: str, edit: Callable[[dict], object]) -> Path:
    """The good file after an edit of its JSON."""
    glb = good()
    edit(glb.gltf)
    return glb.write(folder / f"{name}.glb")


def empty_scene(folder: Path) -> Path:
    """Valid JSON without a mesh."""
    path = folder / "empty_scene.glb"
    path.write_bytes(packed({"asset": {"version": "2.0"}}))
    return path


def cyclic_nodes(folder: Path) -> Path:
    """A node among its own descendants."""
    return edited(folder, "cyclic_nodes", lambda gltf: gltf["nodes"][1]["children"].append(2))


def shared_node(folder: Path) -> Path:
    """One node under the root twice: the seed of exponential growth."""
    return edited(folder, "shared_node", lambda gltf: gltf["nodes"][2]["children"].append(1))


def deep_nodes(folder: Path) -> Path:
    """Five thousand nested nodes."""

    def edit(gltf: dict) -> None:
        start = len(gltf["nodes"])
        chain = [{"children": [start + k + 1]} for k in range(4999)]
        gltf["nodes"] += [*chain, {"children": [2]}]
        gltf["scenes"][0]["nodes"] = [start]

    return edited(folder, "deep_nodes", edit)


def deep_json(folder: Path) -> Path:
    """A hundred thousand nested lists."""
    path = folder / "deep_json.glb"
    path.write_bytes(packed(b'{"asset":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))
    return path


def wide_json(folder: Path) -> Path:
    """Ten million items, far more in memory than on disk."""
    path = folder / "wide_json.glb"
    path.write_bytes(packed(b'{"nodes":[' + b"{}," * 10_000_000 + b"{}]}"))
    return path


def json_list(folder: Path) -> Path:
    """JSON that is no object."""
    path = folder / "json_list.gltf"
    path.write_text("[1, 2, 3]")
    return path


def endless_integer(folder: Path) -> Path:
    """A number with ten thousand digits."""
    path = folder / "endless_integer.glb"
    path.write_bytes(packed(b'{"scene":' + b"9" * 10_000 + b"}"))
    return path


def index_out_of_range(folder: Path) -> Path:
    """A triangle beyond the vertices."""
    return simple(folder, "index_out_of_range", np.eye(3), [(0, 1, 3)])


def symlink_escape(folder: Path) -> Path:
    """A picture that is a link to a file above the folder."""
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "secret.png").write_bytes(b"secret")
    link = folder / "inner" / "link.png"
    link.unlink(missing_ok=True)
    link.symlink_to(folder / "secret.png")
    return edited(
        folder / "inner", "symlink_escape", lambda gltf: gltf["images"].__setitem__(0, {"uri": "link.png"})
    )


def instance_bomb(folder: Path) -> Path:
    """A few kilobytes that place a large mesh ten thousand times."""
    glb = Glb()
    v_position, t_vertex_idx, _ = sphere(64, 64)
    glb.node(glb.primitive(v_position, t_vertex_idx))
    glb.gltf["nodes"] += [{"mesh": 0} for _ in range(10_000)]
    glb.gltf["scenes"][0]["nodes"] = list(range(10_001))
    return glb.write(folder / "instance_bomb.glb")


def zero_bomb(folder: Path) -> Path:
    """Accessors without bytes: fourteen million zeros each, a hundred times."""
    return _bomb(folder, "zero_bomb")


def sparse_bomb(folder: Path) -> Path:
    """The same with one element of each replaced, so that each needs memory of its own."""
    sparse = {"count": 1, "indices": {"bufferView": 0, "componentType": 5125}, "values": {"bufferView": 0}}
    return _bomb(folder, "sparse_bomb", sparse=sparse)


def _bomb(folder: Path, name: str, **more: object) -> Path:
    glb = Glb()
    glb.view(bytes(12))
    for _ in range(100):
        glb.gltf["accessors"].append({"componentType": 5126, "count": 14_000_000, "type": "VEC3", **more})
        index = glb.accessor(np.array([[0], [1], [2]], np.uint32))
        glb.node({"attributes": {"POSITION": index - 1}, "indices": index})
    return glb.write(folder / f"{name}.glb")


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG of any stated size; its content is one row of zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * 64)))


def _with_picture(folder: Path, name: str, picture: bytes) -> Path:
    uri = "data:image/png;base64," + base64.b64encode(picture).decode()
    return edited(folder, name, lambda gltf: gltf["images"].__setitem__(0, {"uri": uri}))


def huge_picture(folder: Path) -> Path:
    """A picture whose header states 60000 x 60000 pixels."""
    return _with_picture(folder, "huge_picture", png_header(60_000, 60_000))


def large_picture(folder: Path) -> Path:
    """A picture whose header states 9000 x 9000 pixels, below Pillow's own limit."""
    return _with_picture(folder, "large_picture", png_header(9_000, 9_000))


def truncated_picture(folder: Path) -> Path:
    """A picture that ends after one row."""
    return _with_picture(folder, "truncated_picture", png_header(64, 64))


def truncated_glb(folder: Path) -> Path:
    """The first half of a good file."""
    path = folder / "truncated_glb.glb"
    data = good().data()
    path.write_bytes(data[: len(data) // 2])
    return path


def wrong_magic(folder: Path) -> Path:
    """A GLB file that is none."""
    path = folder / "wrong_magic.glb"
    path.write_bytes(b"GIF89a" + good().data()[6:])
    return path


def chunk_overrun(folder: Path) -> Path:
    """A JSON chunk longer than the file."""
    path = folder / "chunk_overrun.glb"
    data = bytearray(good().data())
    data[12:16] = struct.pack("<I", 2**32 - 1)
    path.write_bytes(bytes(data))
    return path


def not_utf8(folder: Path) -> Path:
    """JSON in no encoding."""
    path = folder / "not_utf8.gltf"
    path.write_bytes(b'{"asset": {"version": "2.0", "copyright": "\xff\xfe"}}')
    return path


USED: dict[str, Case] = named(
    deep_nodes,
    truncated_picture,
)
REFUSED: dict[str, Case] = named(
    empty_scene,
    cyclic_nodes,
    shared_node,
    deep_json,
    wide_json,
    json_list,
    endless_integer,
    index_out_of_range,
    symlink_escape,
    instance_bomb,
    zero_bomb,
    sparse_bomb,
    huge_picture,
    large_picture,
    truncated_glb,
    wrong_magic,
    chunk_overrun,
    not_utf8,
)
