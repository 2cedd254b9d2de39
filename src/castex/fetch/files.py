"""Single files from outside: found, brought, checked, and their hashes kept.

The first download of a file whose hash nobody knows records it beside the file (`<name>.sha256`, the format
of `sha256sum`); from then on the file, and every later copy of it, must have that hash.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from castex.errors import InputError
from castex.fetch.content import check_content
from castex.fetch.download import Expected, WrongContent, download, examine
from castex.fetch.web import DownloadError, Unreachable, host
from castex.files import read_text, write_text
from castex.settings.assets import DownloadSettings, FileSettings


def recorded(path: Path) -> str | None:
    """The hash that was recorded of a file at its first download; None before that."""
    record = _record_of(path)
    if not record.is_file():
        return None
    match = re.fullmatch(r"([0-9a-f]{64})  [^/\n]+\n", read_text(record))
    if match is None:
        raise InputError(f"{record} holds no checksum; remove it, and the hash is recorded anew")
    return match[1]


def record(path: Path, digest: str) -> None:
    """Record the hash of a file for ever after."""
    write_text(_record_of(path), f"{digest}  {path.name}\n")


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def bring(
    urls: Sequence[str],
    path: Path,
    expected: Expected,
    settings: DownloadSettings,
    *,
    local: Path | None = None,
    record_as: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Path, str]:
    """The file, ready to be read, and its SHA-256: `local` when given, else `path`, downloaded if need be.

    What is known of it is compared every time, a hash that was recorded beside `record_as` (by default
    `path`) included; what is not known yet is recorded there. A local copy is never changed. Raises what
    `download` raises, and InputError for a local copy that is not the right file.
    """
    record_as = path if record_as is None else record_as
    known = recorded(record_as)
    if known is not None and expected.hash_is_wrong(known):
        # The settings know better than a record made before they did.
        known = None
    # A file whose hash is known was looked into when the hash was recorded.
    wanted = replace(expected, sha256=known, check=None) if known is not None else expected
    if local is not None:
        found, digest = local, verified(local, wanted)
    else:
        found, digest = path, download(urls, path, wanted, settings, sleep=sleep)
    if digest != known:
        record(record_as, digest)
    return found, digest


def verified(path: Path, expected: Expected) -> str:
    """The hash of a file that somebody brought; InputError when it is not the expected one."""
    if not path.is_file():
        raise InputError(f"there is no file at {path}; correct the path")
    try:
        return examine(path, path.name, expected)
    except WrongContent as error:
        raise InputError(f"{path} cannot be used: {error}") from error


def fetch_file(name: str, settings: FileSettings, cache: Path, patience: DownloadSettings) -> dict[str, Any]:
    """The lock of one entry of `files`: where it is, its hash and size, licence and addresses.

    An unreachable network gives one sentence that names the host, the file and how to supply it.
    """
    path = cache / settings.path
    check = functools.partial(check_content, suffix=path.suffix.lower())
    expected = Expected(settings.sha256, settings.sha256_begins, settings.bytes, check)
    local = None if settings.local is None else Path(settings.local)
    try:
        found, digest = bring(settings.urls, path, expected, patience, local=local)
    except DownloadError as error:
        gate = f"accept its licence at {settings.gate}, then " if settings.gate else ""
        hosts = " or ".join(dict.fromkeys(map(host, settings.urls)))
        kind = type(error) if isinstance(error, Unreachable) else DownloadError
        raise kind(
            f"{error}; needed is {hosts}: {gate}fetch it where there is a network, or bring the file by hand "
            f"to {path}, or name a copy of it: --config 'files={{{name}: {{local: PATH}}}}'"
        ) from error
    return {
        "file": name,
        "path": str(found),
        "sha256": digest,
        "bytes": found.stat().st_size,
        "urls": settings.urls,
        "licence": settings.licence,
    }
