"""PLY, STL and OFF to `Scene`, through trimesh, after a look at the numbers that their headers state."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from castex.errors import InputError
from castex.scene import Material, Primitive, Scene
from castex.scene_file.colour import linear
from castex.scene_file.limits import Limits
from castex.scene_file.nearby import Nearby, shorten
from castex.scene_file.pictures import Pictures
from castex.weld import welded

LONGEST_HEADER = 2**16
ELEMENT = re.compile(rb"^element[ \t]+(\S+)[ \t]+(\S+)[ \t\r]*$", re.MULTILINE)
TEXTURE = re.compile(rb"^comment[ \t]+TextureFile[ \t]+([^\r\n]+)", re.MULTILINE | re.IGNORECASE)
STL_HEADER, STL_TRIANGLE = 84, 50


def read_plain(path: Path, nearby: Nearby, limits: Limits) -> Scene:
    """The one surface of a PLY, STL or OFF file with a plain material.

    PLY keeps normals, vertex colours (sRGB in the file, linear here) and texture coordinates (v up in the
    file); the triangles of an STL are joined where their corners coincide. Polygons become triangles.
    """
    data = nearby.mesh(path)
    suffix = path.suffix.lower()
    checks = {".ply": _check_ply, ".stl": _check_stl, ".off": _check_off}
    checks[suffix](data, limits)
    if suffix == ".ply":
        return _ply(data, nearby, limits)
    # What is text need not be UTF-8, and guessing an encoding is slow; names of solids do not matter.
    found = _parsed(_as_utf8(data) if _is_text(data, suffix) else data, suffix)
    parts = list(found["geometry"].values()) if "geometry" in found else [found]
    primitives = tuple(_primitive(part, suffix, limits) for part in parts)
    return Scene(primitives, (Material(),))


def _ply(data: bytes, nearby: Nearby, limits: Limits) -> Scene:
    end = data.find(b"end_header")
    # Loose edges would be turned into curves that replace the vertices; under another name they are skipped.
    header = re.sub(rb"^element([ \t]+)edge\b", rb"element\1xdge", data[:end], flags=re.MULTILINE)
    wedges = b"texcoord" in header
    found = _parsed(header + data[end:], ".ply", fix_texture=wedges)
    primitive = _primitive(found, ".ply", limits)
    pictures = Pictures(limits)
    texture = TEXTURE.search(header)
    name = texture[1].decode("utf-8", errors="replace").strip() if texture else ""
    if name:
        pictures.add(name, nearby.file(name))
    notes = ["its face colours are left out"] if found.get("face_colors") is not None else []
    if found.get("vertex_colors") is not None and primitive.v_color is None:
        notes.append("its vertex colours are left out")
    material = Material(albedo_picture=pictures.rgb(name) if primitive.v_texcoord is not None else None)
    return Scene((primitive,), (material,), notes=(*notes, *pictures.notes))


def _primitive(found: dict[str, Any], suffix: str, limits: Limits) -> Primitive:
    faces = found.get("faces")
    if faces is None or len(faces) == 0 or "vertices" not in found:
        raise InputError("it holds no triangles; give a surface, no points")
    v_position = np.asarray(found["vertices"], np.float64)
    t_vertex_idx = np.asarray(faces).astype(np.int64)
    if t_vertex_idx.ndim != 2 or t_vertex_idx.shape[1] != 3:
        t_vertex_idx = _fans(t_vertex_idx)
    if len(t_vertex_idx) > limits.triangles:
        raise InputError(f"it has {len(t_vertex_idx)} triangles; reduce it to at most {limits.triangles}")
    if t_vertex_idx.min() < 0 or t_vertex_idx.max() >= len(v_position):
        raise InputError(
            f"a triangle refers to a vertex that is not among its {len(v_position)}; export it again"
        )
    if suffix == ".stl":
        with np.errstate(over="ignore"):
            place, v_position = welded(v_position.astype(np.float32))
        t_vertex_idx = place[t_vertex_idx]
    return Primitive(
        v_position,
        t_vertex_idx,
        v_normal=_per_vertex(found.get("vertex_normals"), len(v_position), 3),
        v_texcoord=_texcoords(found, len(v_position)),
        v_color=_colours(found.get("vertex_colors"), len(v_position)),
    )


def _is_text(data: bytes, suffix: str) -> bool:
    return suffix == ".off" or len(data) != STL_HEADER + STL_TRIANGLE * int.from_bytes(data[80:84], "little")


def _as_utf8(data: bytes) -> bytes:
    return data.decode("utf-8", errors="replace").encode()


def _parsed(data: bytes, suffix: str, **options: Any) -> dict[str, Any]:
    from trimesh.exchange.off import load_off
    from trimesh.exchange.ply import load_ply
    from trimesh.exchange.stl import load_stl

    readers = {".ply": load_ply, ".stl": load_stl, ".off": load_off}
    if suffix == ".ply":
        options["skip_materials"] = True
    try:
        found: dict[str, Any] = readers[suffix](io.BytesIO(data), **options)
        return found
    except MemoryError:
        raise
    except Exception as error:  # the readers index and convert without looking
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"it is no valid {suffix[1:].upper()} file ({shorten(reason)}); export it again, triangulated"
        ) from error


def _check_ply(data: bytes, limits: Limits) -> None:
    end = data.find(b"end_header", 0, LONGEST_HEADER)
    if data[:3] != b"ply" or end < 0:
        raise InputError("it has no PLY header; export it again")
    body = len(data) - end - len(b"end_header\n")
    for name, stated in ELEMENT.findall(data[:end]):
        count = int(stated) if stated.isdigit() and len(stated) < 12 else -1
        if not 0 <= count <= 3 * limits.triangles:
            raise InputError(
                f"its header states {shorten(repr(stated)[2:-1])} of {shorten(repr(name)[2:-1])}; at most "
                f"{3 * limits.triangles} are allowed"
            )
        # Even an element of one byte takes one.
        if count > body:
            raise InputError(f"it is truncated: the header states {count} elements in {body} bytes")


def _check_stl(data: bytes, limits: Limits) -> None:
    count = int.from_bytes(data[80:84], "little") if len(data) >= STL_HEADER else 0
    if len(data) == STL_HEADER + STL_TRIANGLE * count:
        number = count
    elif data[:5].lower() == b"solid":
        number = max(data.count(b"vertex"), data.count(b"VERTEX")) // 3
    else:
        raise InputError(f"it is truncated: {count} triangles do not fit into its {len(data)} bytes")
    if number > limits.triangles:
        raise InputError(f"it has {number} triangles; reduce it to at most {limits.triangles}")


def _check_off(data: bytes, limits: Limits) -> None:
    lines = data.count(b"\n")
    if lines > 6 * limits.triangles:
        raise InputError(f"it has {lines} lines; reduce it to at most {limits.triangles} triangles")


def _fans(polygons: np.ndarray) -> np.ndarray:
    """Triangles of polygons that all have the same number of corners."""
    if polygons.ndim != 2 or polygons.shape[1] < 3:
        raise InputError("its faces are no polygons; export it again, triangulated")
    corners = polygons.shape[1]
    fan = np.array([(0, k, k + 1) for k in range(1, corners - 1)])
    return polygons[:, fan].reshape(-1, 3)


def _per_vertex(values: Any, count: int, width: int) -> Float64[np.ndarray, "vertices width"] | None:
    if values is None or np.shape(values) != (count, width):
        return None
    return np.asarray(values, np.float64)


def _texcoords(found: dict[str, Any], count: int) -> Float64[np.ndarray, "vertices 2"] | None:
    v_texcoord = _per_vertex(getattr(found.get("visual"), "uv", None), count, 2)
    return None if v_texcoord is None else v_texcoord * (1, -1) + (0, 1)


def _colours(values: Any, count: int) -> Float64[np.ndarray, "vertices 3"] | None:
    if values is None or len(np.shape(values)) != 2 or len(values) != count:
        return None
    stored = np.asarray(values)[:, :3]
    scale = np.iinfo(stored.dtype).max if stored.dtype.kind in "iu" else 1
    exact = stored.astype(np.float64) / scale
    return linear(np.clip(exact, 0, 1)) if np.isfinite(exact).all() else None
