"""The part of a file that is on disk so far, and where its bytes came from."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from castex.files import write_json


@contextmanager
def turn(path: Path) -> Iterator[BinaryIO]:
    """The partial file, opened for appending by this process alone; an empty one is not left behind."""
    while True:
        stream = path.open("a+b")
        fcntl.flock(stream, fcntl.LOCK_EX)
        # Whoever had it before may have renamed or removed it while we waited.
        if _is_at(stream, path):
            break
        stream.close()
    with stream:
        try:
            yield stream
        finally:
            if _is_at(stream, path) and os.fstat(stream.fileno()).st_size == 0:
                path.unlink()


def _is_at(stream: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


class Partial:
    """A partial file and, beside it, where its bytes came from."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path = stream, path
        self._origin = path.with_name(f"{path.name}.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return os.fstat(self._stream.fileno()).st_size

    def origin(self, url: str) -> tuple[str | None, int | None]:
        """Validator and total size that were recorded for `url`; None where unknown."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(self._origin.read_text(encoding="utf-8"))
            if record["url"] == url:
                return record["validator"], record["total"]
        return None, None

    def comes_from(self, url: str, validator: str | None, total: int | None) -> None:
        """Record the source of the bytes that are about to be appended."""
        write_json(self._origin, {"url": url, "validator": validator, "total": total})

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        self._stream.write(chunk)
        # At once on its way to the disk: after a kill, every byte that came is there.
        self._stream.flush()

    def empty(self) -> None:
        """Forget all bytes and their source."""
        self._stream.truncate(0)
        self._origin.unlink(missing_ok=True)

    def becomes(self, path: Path) -> None:
        """Give the whole file its name."""
        os.fsync(self._stream.fileno())
        self._path.replace(path)
        self._origin.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
