"""How much of a mesh file is believed: what a file states is compared with these before memory is taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds for one asset; the defaults keep loading below about 2 GB."""

    file_bytes: int = 512 * 2**20
    """Bytes of the mesh and of all files that it refers to, together."""
    json_items: int = 4_000_000
    """Objects, lists and list entries of a glTF's JSON."""
    triangles: int = 2_000_000
    """Triangles of the flattened scene, instances counted: what `prepare` manages in a minute and 2 GB."""
    picture_pixels: int = 2**26
    """Pixels of one picture as its header states them (8192 x 8192)."""
    picture_side: int = 4096
    """Longest side in pixels of a picture that is kept; larger ones are reduced."""
    kept_pixels: int = 2**27
    """Pixels of all kept pictures together; if there are more, all are reduced further."""
