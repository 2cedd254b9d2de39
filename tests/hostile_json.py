"""The good glTF file with one field of its JSON changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hostile_case import Case
from hostile_structure import edited

Edit = Callable[[dict], object]


def _json_edits() -> dict[str, tuple[bool, Callable[[dict], object]]]:
    """Edits of the good file: whether it stays usable, and the edit."""

    def put(value: object, *keys: str | int) -> Callable[[dict], object]:
        def edit(gltf: dict) -> None:
            target = gltf
            for key in keys[:-1]:
                target = target[key]
            target[keys[-1]] = value

        return edit

    primitive = ("meshes", 0, "primitives", 0)
    # Of the good file: view 0 the picture, 1-3 the attributes, 4 the indices; accessors 0-2 and 3 likewise.
    return {
        "nan_json": (False, put(float("nan"), "nodes", 0, "translation", 0)),
        "infinite_json": (False, put(float("inf"), "nodes", 0, "translation", 0)),
        "huge_integer": (False, put(10**400, "accessors", 0, "byteOffset")),
        "huge_translation": (False, put([10**300, 0, 0], "nodes", 2, "translation")),
        "count_1e9": (False, put(10**9, "accessors", 0, "count")),
        "index_count_1e9": (False, put(10**9, "accessors", 3, "count")),
        "count_negative": (False, put(-1, "accessors", 0, "count")),
        "count_float": (False, put(10.5, "accessors", 0, "count")),
        "count_true": (False, put(True, "accessors", 0, "count")),
        "accessor_offset_overrun": (False, put(10**6, "accessors", 0, "byteOffset")),
        "accessor_offset_negative": (False, put(-12, "accessors", 0, "byteOffset")),
        "view_overrun": (False, put(10**6, "bufferViews", 1, "byteLength")),
        "view_offset_negative": (False, put(-4, "bufferViews", 1, "byteOffset")),
        "view_stride_small": (False, put(4, "bufferViews", 1, "byteStride")),
        "view_stride_large": (False, put(252, "bufferViews", 1, "byteStride")),
        "buffer_missing": (False, put(7, "bufferViews", 1, "buffer")),
        "component_unknown": (False, put(5124, "accessors", 0, "componentType")),
        "index_component_float": (False, put(5126, "accessors", 3, "componentType")),
        "position_vec2": (False, put("VEC2", "accessors", 0, "type")),
        "type_number": (False, put(3, "accessors", 0, "type")),
        "accessor_missing": (False, put(99, *primitive, "attributes", "POSITION")),
        "position_absent": (False, put({}, *primitive, "attributes")),
        "material_missing": (False, put(99, *primitive, "material")),
        "texture_missing": (False, put(99, "materials", 0, "normalTexture", "index")),
        "image_missing": (False, put(99, "textures", 0, "source")),
        "mesh_missing": (False, put(99, "nodes", 0, "mesh")),
        "scene_missing": (False, put(99, "scene")),
        "node_missing": (False, put([99], "scenes", 0, "nodes")),
        "skin_missing": (False, put(0, "nodes", 0, "skin")),
        "nodes_object": (False, put({}, "nodes")),
        "matrix_short": (False, put([1, 0, 0], "nodes", 0, "matrix")),
        "rotation_zero": (False, put([0, 0, 0, 0], "nodes", 2, "rotation")),
        "draco": (False, put({"KHR_draco_mesh_compression": {"bufferView": 0}}, *primitive, "extensions")),
        "meshopt": (False, put({"EXT_meshopt_compression": {"buffer": 0}}, "bufferViews", 1, "extensions")),
        "required_unknown": (False, put(["EXT_mesh_gpu_instancing"], "extensionsRequired")),
        "gltf_1": (False, put("1.0", "asset", "version")),
        "sparse_overrun": (
            False,
            put(
                {
                    "count": 10**9,
                    "indices": {"bufferView": 4, "componentType": 5125},
                    "values": {"bufferView": 1},
                },
                "accessors", 0, "sparse",
            ),
        ),
        "sparse_out_of_range": (
            False,
            put(
                {
                    "count": 100,
                    "indices": {"bufferView": 1, "componentType": 5125},
                    "values": {"bufferView": 1},
                },
                "accessors", 0, "sparse",
            ),
        ),
        "uri_parent": (False, put({"uri": "../secret.png"}, "images", 0)),
        "uri_parent_encoded": (False, put({"uri": "%2e%2e/secret.png"}, "images", 0)),
        "uri_backslash": (False, put({"uri": "..\\secret.png"}, "images", 0)),
        "uri_absolute": (False, put({"uri": "/etc/hostname"}, "images", 0)),
        "uri_file": (False, put({"uri": "file:///etc/hostname"}, "images", 0)),
        "uri_http": (False, put({"uri": "http://localhost:9/a.png"}, "images", 0)),
        "uri_drive": (False, put({"uri": "C:\\a.png"}, "images", 0)),
        "uri_nul": (False, put({"uri": "a%00.png"}, "images", 0)),
        "uri_long": (False, put({"uri": "a" * 5000}, "images", 0)),
        "uri_missing": (True, put({"uri": "nothing%20here.png"}, "images", 0)),
        "data_uri_broken": (False, put({"uri": "data:image/png;base64,!!!"}, "images", 0)),
        "data_uri_no_comma": (False, put({"uri": "data:image/png;base64"}, "images", 0)),
        "data_uri_no_picture": (True, put({"uri": "data:image/png;base64,AAAA"}, "images", 0)),
        "name_bidi": (True, put("\u202e\x00\n" * 1000, "materials", 0, "name")),
        "extras_list": (True, put([{"author": 3}], "asset", "extras")),
    }  # fmt: skip


def _case(name: str, edit: Edit) -> Case:
    def write(folder: Path) -> Path:
        return edited(folder, name, edit)

    return write


USED = {name: _case(name, edit) for name, (used, edit) in _json_edits().items() if used}
REFUSED = {name: _case(name, edit) for name, (used, edit) in _json_edits().items() if not used}
