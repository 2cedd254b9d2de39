"""What the collections of broken meshes share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Case = Callable[[Path], Path]
"""Writes its file into a folder and returns the path."""


def named(*cases: Case) -> dict[str, Case]:
    """Cases by the names of their functions."""
    return {case.__name__: case for case in cases}


def written(name: str, content: bytes) -> Case:
    """A case that writes fixed bytes."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write
