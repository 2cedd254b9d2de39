"""Writing and checking files: a reader sees the old bytes or the new ones, never half of them."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from castex.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


BOOT = Path("/proc/sys/kernel/random/boot_id")
PROCESSES = Path("/proc/self/ns/pid")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` when the block ends well.

    The temporary name keeps the suffix, because image writers choose a format by it. On any error,
    a full disk included, the temporary file is removed and what stood at `path` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    partial = path.with_name(f".{path.stem}.{_host()}-{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sweep(path: Path) -> None:
    """Remove what killed processes of this host left of earlier attempts to write `path`."""
    stem, suffix = glob.escape(path.stem), glob.escape(path.suffix)
    for debris in path.parent.glob(f".{stem}.{_host()}-*.partial{suffix}"):
        pid = debris.name.removeprefix(f".{path.stem}.{_host()}-").split(".")[0]
        if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            debris.unlink(missing_ok=True)


@functools.cache
def _host() -> str:
    """Eight digits for this host since it was started: process ids mean something only together with them.

    Several hosts may write into one folder, and containers of one host may count processes apart.
    """
    parts = [os.uname().nodename]
    with suppress(OSError):  # Linux alone has them
        parts.append(BOOT.read_text(encoding="ascii"))
    with suppress(OSError):
        parts.append(str(PROCESSES.readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write several files of one result: all of them are on disk before the first gets its name.

    The last of `contents` gets its name last, so where it stands, the others belong to it; when the disk
    fills up on the way, every old file is still what it was.
    """
    with ExitStack() as stack:
        for name, content in reversed(list(contents.items())):
            stack.enter_context(atomic_path(folder / name)).write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """JSON with sorted keys and two spaces; NaN and infinity are refused, because they are not JSON."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json_text(value))


def read_text(path: Path) -> str:
    """The text of a file that a person or a rule named; InputError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{path} cannot be read ({reason}); check the path") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file; InputError when there is none."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no JSON ({error}); make it again") from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """The SHA-256 of a JSON-like value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copy one file's bytes, atomically."""
    with atomic_path(target) as partial:
        shutil.copyfile(source, partial)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, atomically.

    The bytes are made in memory first: the library's own writer hides a full disk behind an exception of
    its own.
    """
    with atomic_path(path) as partial:
        partial.write_bytes(tensor_bytes(tensors))


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors in the safetensors format."""
    from safetensors.torch import save

    content: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        # The format refuses tensors that share memory: a name that repeats another's values gets its own.
        content[name] = plain.clone() if plain.data_ptr() in seen else plain
        seen.add(plain.data_ptr())
    return save(content, metadata={"format": "pt"})
