"""The two wrappings of glTF 2.0, GLB and JSON, and their buffers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from castex.errors import InputError
from castex.scene_file.entry import Entry, parsed
from castex.scene_file.limits import Limits
from castex.scene_file.nearby import Nearby, shorten

MAGIC = b"glTF"
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
HEADER_BYTES, CHUNK_HEADER_BYTES = 12, 8
# Extensions that a file may require although they are ignored here: they change looks, not geometry.
HARMLESS = ("KHR_materials_", "KHR_lights_", "KHR_xmp", "KHR_animation_", "KHR_texture_basisu")
SUPPORTED = {"KHR_texture_transform", "KHR_mesh_quantization", "EXT_texture_webp"}
COMPRESSED = {"KHR_draco_mesh_compression": "Draco", "EXT_meshopt_compression": "meshopt"}


def read_container(path: Path, nearby: Nearby, limits: Limits) -> tuple[Entry, list[memoryview]]:
    """The JSON object and the buffers of a .glb or .gltf file, each buffer cut to its stated length."""
    data = nearby.mesh(path)
    binary: memoryview | None = None
    if data[:4] == MAGIC:
        text, binary = _chunks(data)
    elif path.suffix.lower() == ".glb":
        raise InputError(f"it starts with {data[:4]!r}, not with the glTF mark; give a GLB 2.0 file")
    else:
        text = data
    root = parsed(text, limits)
    _check_version(root)
    _check_extensions(root)
    return root, [_buffer(entry, nearby, binary) for entry in root.children("buffers")]


def read_json_chunk(path: Path) -> dict[str, Any]:
    """The JSON object of a GLB or glTF file, its buffers unread; InputError for anything else."""
    limits = Limits()
    try:
        data = Nearby(path.parent, limits).mesh(path)
        return dict(parsed(_chunks(data)[0] if data[:4] == MAGIC else data, limits).value)
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from error


def _chunks(data: bytes) -> tuple[bytes, memoryview | None]:
    if len(data) < HEADER_BYTES + CHUNK_HEADER_BYTES:
        raise InputError(f"it is truncated: a GLB header alone is longer than its {len(data)} bytes")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise InputError(f"it is GLB version {version}; convert it to version 2")
    if length > len(data):
        raise InputError(f"it is truncated: the header states {length} bytes and there are {len(data)}")
    found: dict[int, memoryview] = {}
    start = HEADER_BYTES
    while start + CHUNK_HEADER_BYTES <= length:
        size, kind = struct.unpack_from("<II", data, start)
        start += CHUNK_HEADER_BYTES
        if start + size > length:
            raise InputError(f"a chunk of {size} bytes is truncated to {length - start}; copy the file again")
        found.setdefault(kind, memoryview(data)[start : start + size])
        start += size
    if JSON_CHUNK not in found:
        raise InputError("it has no JSON chunk; export it again")
    return bytes(found[JSON_CHUNK]), found.get(BINARY_CHUNK)


def _check_version(root: Entry) -> None:
    version = root.within("asset").text("version", "2.0")
    if not version.startswith("2"):
        raise InputError(f"it is glTF version {shorten(version)!r}; convert it to version 2.0")


def _check_extensions(root: Entry) -> None:
    for name in root.strings("extensionsRequired"):
        if name in COMPRESSED:
            raise InputError(
                f"its geometry is compressed with {COMPRESSED[name]} ({name}); export it without compression"
            )
        if name not in SUPPORTED and not name.startswith(HARMLESS):
            raise InputError(
                f"it requires the extension {shorten(name)!r}, which is not supported; export it without"
            )


def _buffer(entry: Entry, nearby: Nearby, binary: memoryview | None) -> memoryview:
    length = entry.integer("byteLength", low=1)
    if entry.has("uri"):
        content = nearby.uri(entry.text("uri"))
        if content is None:
            raise InputError(
                f"its buffer file {shorten(entry.text('uri'))!r} is missing; put it beside the mesh"
            )
        data = memoryview(content)
    elif binary is not None and entry.where == "buffers[0]":
        data = binary
    else:
        raise InputError(f"its {entry.where} has neither a URI nor a binary chunk; export it again")
    if length > len(data):
        raise InputError(f"its {entry.where} states {length} bytes and there are {len(data)}; copy it again")
    return data[:length]
