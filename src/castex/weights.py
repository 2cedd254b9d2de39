"""Model folders: found, checked byte for byte, and recorded.

A folder carries `SHA256SUMS` (the format of the `sha256sum` command). Shipped folders have it from the
start; a downloaded one gets it at first download and is verified against it ever after.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from castex.errors import WeightsError
from castex.files import sha256, write_text

SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A checked folder: where it is, and the SHA-256 of each file in it."""

    path: Path
    files: dict[str, str]


def write_sums(folder: Path, names: list[str]) -> None:
    """Record the hashes of `names` in the folder's SHA256SUMS."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted(names)]
    write_text(folder / SUMS, "".join(lines))


def read_sums(folder: Path) -> dict[str, str]:
    """The recorded hashes by file name; WeightsError when there is no readable record."""
    path = folder / SUMS
    if not path.is_file():
        raise WeightsError(f"{folder} has no {SUMS}; fetch the model again, or give another folder")
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9_./-]*)", line)
        if match is None or ".." in match[2].split("/"):
            raise WeightsError(f"{path} holds a line that is no checksum: {line[:80]!r}")
        found[match[2]] = match[1]
    return found


def verify(folder: Path) -> ModelFolder:
    """Check every recorded file of a model folder; WeightsError names the first bad one."""
    if not folder.is_dir():
        raise WeightsError(f"there is no model folder at {folder}; fetch the model or correct the path")
    files = read_sums(folder)
    check(folder, files)
    return ModelFolder(folder, files)


def check(folder: Path, files: dict[str, str]) -> None:
    """Compare files with the hashes that they must have."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{path} is missing; fetch the model again")
        actual = sha256(path)
        if actual != expected:
            raise WeightsError(
                f"{path} is altered or truncated: SHA-256 {actual[:12]}… in place of {expected[:12]}…; "
                "fetch the model again"
            )


def locate(path: Path) -> ModelFolder:
    """The checked folder behind a path: a model folder, or a lock file of `fetch`."""
    if path.suffix != ".json":
        return verify(path)
    folder, files = _read_lock(path)
    check(folder, files)
    return ModelFolder(folder, files)


def _read_lock(path: Path) -> tuple[Path, dict[str, str]]:
    """Folder and hashes from the record that `fetch` wrote of one model."""
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        return Path(lock["folder"]), dict(lock["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} is no lock file that names a folder and its files; run the rule `fetch` again"
        ) from error
