"""Files that a mesh file refers to: read from its own folder and from nowhere else."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from castex.errors import InputError
from castex.scene_file.limits import Limits

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
SHOWN = 80


class Nearby:
    """The folder of one mesh file, with a budget of bytes for all that is read from it."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder.resolve()
        self._limits = limits
        self._left = limits.file_bytes
        self._read: dict[Path, bytes] = {}

    def mesh(self, path: Path) -> bytes:
        """The bytes of the mesh file itself, wherever it lies."""
        if not path.is_file():
            raise InputError("there is no such file; check the path")
        return self._bytes(path)

    def uri(self, reference: str) -> bytes | None:
        """What a glTF URI points to: an embedded `data:` URI, or a percent-encoded relative path.

        None when the file does not exist; InputError when the URI leaves the folder of the mesh.
        """
        if reference[:5].lower() == "data:":
            return self._embedded(reference)
        return self.file(unquote(reference), shown=reference)

    def file(self, reference: str, *, shown: str | None = None) -> bytes | None:
        """The bytes of a relative path (backslashes count as slashes); None when there is no such file.

        InputError for an absolute path, a scheme, `..`, or a link that leads out of the folder.
        """
        relative = reference.replace("\\", "/")
        name = shorten(reference if shown is None else shown)
        if SCHEME.match(relative) or relative.startswith("/") or ".." in relative.split("/"):
            raise InputError(
                f"it refers to {name!r}, which is outside its own folder; put the file beside the mesh"
            )
        if not relative.strip() or not relative.isprintable():
            raise InputError(
                f"it refers to a file by the empty or unprintable name {name!r}; export it again"
            )
        try:
            path = (self._folder / relative).resolve()
            if not path.is_relative_to(self._folder):
                raise InputError(
                    f"it refers to {name!r}, a link that leads out of its own folder; copy the file there"
                )
            return self._bytes(path) if path.is_file() else None
        except (OSError, RuntimeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            # A name too long for the file system, a loop of links, a file without permission.
            raise InputError(f"it refers to {name!r}, which cannot be read; check that file") from error

    def _bytes(self, path: Path) -> bytes:
        if path not in self._read:
            # The size first: asking for the whole budget would reserve it, whatever the file holds.
            size = path.stat().st_size
            self._spend(size)
            with path.open("rb") as stream:
                content = stream.read(size)
            self._read[path] = content
        return self._read[path]

    def _embedded(self, reference: str) -> bytes:
        head, comma, payload = reference.partition(",")
        if not comma:
            raise InputError("it holds an embedded data URI without a comma; export it again")
        try:
            is_base64 = head.lower().endswith(";base64")
            content = base64.b64decode(payload, validate=True) if is_base64 else unquote_to_bytes(payload)
        except (binascii.Error, ValueError) as error:
            raise InputError(
                "it holds an embedded data URI that is no valid base64; export it again"
            ) from error
        self._spend(len(content))
        return content

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise InputError(
                f"it and the files it refers to exceed {self._limits.file_bytes} bytes; reduce the pictures "
                "or the mesh"
            )


def shorten(text: str) -> str:
    """Text from a file as one short printable line."""
    line = "".join(c if c.isprintable() else " " for c in text[: SHOWN + 1]).strip()
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."
