"""Broken OBJ, PLY, STL and OFF files, and empty files of every kind."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from hostile_case import named, written

PLY = "property float x\nproperty float y\nproperty float z\n"
FACE = "property list uchar int vertex_indices\nend_header\n"


def _ascii(vertices: int | str, faces: int, body: str, comment: str = "") -> bytes:
    head = f"ply\nformat ascii 1.0\n{comment}element vertex {vertices}\n{PLY}element face {faces}\n{FACE}"
    return (head + body).encode()


def _binary(vertices: int, faces: int, length: str, body: bytes) -> bytes:
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {vertices}\n{PLY}element face {faces}\n"
    return (head + f"property list {length} int vertex_indices\nend_header\n").encode() + body


def _texts() -> dict[str, tuple[bool, str, bytes]]:
    """Small files by name: whether they are usable, suffix, content."""
    tetra = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
    triangle = "0 0 0\n1 0 0\n0 1 0\n"
    nan = np.full(12, np.nan, np.float32).tobytes() + bytes(2)
    endless_list = np.zeros(9, np.float32).tobytes() + b"\xff\xff\xff\x7f" + bytes(12)
    return {
        "obj_index_zero": (False, ".obj", f"{tetra}f 0 1 2\n".encode()),
        "obj_index_beyond": (False, ".obj", f"{tetra}f 1 2 9\n".encode()),
        "obj_index_negative_beyond": (False, ".obj", f"{tetra}f -1 -2 -9\n".encode()),
        "obj_index_huge": (False, ".obj", f"{tetra}f 1 2 {10**30}\n".encode()),
        "obj_two_corners": (False, ".obj", f"{tetra}f 1 2\n".encode()),
        "obj_words": (False, ".obj", f"{tetra}f a b c\n".encode()),
        "obj_short_vertex": (False, ".obj", b"v 0 0\nf 1 1 1\n"),
        "obj_nan": (True, ".obj", f"{tetra}v nan inf 0\nf 1 2 3\nf 1 2 5\n".encode()),
        "obj_library_escapes": (False, ".obj", f"mtllib ../../x.mtl\n{tetra}f 1 2 3\n".encode()),
        "obj_library_absolute": (False, ".obj", f"mtllib /etc/hostname\n{tetra}f 1 2 3\n".encode()),
        "obj_library_missing": (True, ".obj", f"mtllib no.mtl\nusemtl a\n{tetra}f 1 2 3\nf 1 3 4\n".encode()),
        "obj_polygon": (True, ".obj", f"{tetra}f {' '.join('1234' * 500)}\n".encode()),
        "obj_binary": (False, ".obj", bytes(range(256)) * 50),
        "ply_count_1e9": (False, ".ply", _binary(10**9, 10**9, "uchar", b"")),
        "ply_count_negative": (False, ".ply", _ascii(-3, 1, triangle)),
        "ply_list_huge": (False, ".ply", _binary(3, 1, "uint", endless_list)),
        "ply_index_beyond": (False, ".ply", _ascii(3, 1, f"{triangle}3 0 1 7\n")),
        "ply_index_negative": (False, ".ply", _ascii(3, 1, f"{triangle}3 0 1 -1\n")),
        "ply_truncated": (False, ".ply", _ascii(3, 1, "0 0 0\n")),
        "ply_no_end": (False, ".ply", _ascii(3, 1, triangle).replace(b"end_header\n", b"")),
        "ply_picture_escapes": (
            False,
            ".ply",
            _ascii(3, 1, f"{triangle}3 0 1 2\n", "comment TextureFile ../a.png\n"),
        ),
        "stl_count_1e9": (False, ".stl", bytes(80) + struct.pack("<I", 10**9) + bytes(50)),
        "stl_truncated": (False, ".stl", bytes(80) + struct.pack("<I", 2) + bytes(70)),
        "stl_nan": (False, ".stl", bytes(80) + struct.pack("<I", 1) + nan),
        "stl_text_broken": (False, ".stl", b"solid a\nouter loop\nvertex 0 0\nendsolid a\n"),
        "stl_text_bytes": (False, ".stl", b"solid " + bytes(range(256)) * 200),
        "off_count_1e9": (False, ".off", b"OFF\n1000000000 1000000000 0\n0 0 0\n"),
        "off_index_beyond": (False, ".off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n"),
        "off_words": (False, ".off", b"OFF\nthree one none\n"),
    }


def obj_library_repeated(folder: Path) -> Path:
    """One large material file, named three thousand times in several spellings."""
    materials = "".join(f"newmtl m{k}\nKd 0.{k} 0 0\nmap_Kd a.png\n" for k in range(10_000))
    (folder / "bomb.mtl").write_text(materials)
    spellings = "".join(f"mtllib {'./' * (k % 300)}bomb.mtl\n" for k in range(3000))
    path = folder / "repeated.obj"
    path.write_text(f"{spellings}v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m7\nf 1 2 3\n")
    return path


def obj_library_many(folder: Path) -> Path:
    """Thousands of material files that are not there, each with a name of its own."""
    path = folder / "many.obj"
    names = " ".join(f"{k}.mtl" for k in range(50_000))
    path.write_text(f"mtllib {names}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    return path


USED = named(obj_library_repeated)
USED |= {name: written(name + suffix, content) for name, (used, suffix, content) in _texts().items() if used}
REFUSED = named(obj_library_many)
REFUSED |= {
    name: written(name + suffix, content) for name, (used, suffix, content) in _texts().items() if not used
}
REFUSED |= {
    f"empty_{kind}": written(f"empty.{kind}", b"") for kind in ("glb", "gltf", "obj", "ply", "stl", "off")
}
