"""One file from the web: resumed after a kill, checked, and never half there.

The bytes stream into `.<name>.partial` beside the target. A later call goes on where that one ends, by an
HTTP range request, when the server can prove that the file is still the same (a strong ETag or a date) or its
hash is known; else it starts anew. Only network errors are tried again. The partial file gets its name after
its length and hash were compared; processes that want the same file take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from castex.errors import CastexError
from castex.fetch.partial import Partial, turn
from castex.fetch.web import Answer, DownloadError, NetworkError, RangeRefused, Unreachable, ask, host
from castex.files import sha256 as sha256_of
from castex.progress import Progress
from castex.settings.assets import DownloadSettings

# A failed attempt that brought this much does not count: a long download may break many times.
WORTHWHILE_BYTES = 1 << 20
# An attempt that fails for want of name resolution counts as several.
HOPELESS_WEIGHT = 3


class WrongContent(DownloadError):
    """What came is not the file that was expected; it was removed."""


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it comes; `check` raises a CastexError for a file that it refuses."""

    sha256: str | None = None
    sha256_begins: str | None = None
    bytes: int | None = None
    check: Callable[[Path], None] | None = None

    def hash_is_wrong(self, digest: str) -> bool:
        """Whether `digest` differs from what is known of it."""
        return self.sha256 not in (None, digest) or not digest.startswith(self.sha256_begins or "")


def download(
    urls: Sequence[str],
    path: Path,
    expected: Expected,
    settings: DownloadSettings,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Bring a file from the first of `urls` that has it to `path`, and return its SHA-256.

    A file that already stands there and is as expected is left alone. Raises Unreachable, NotThere, Refused
    or WrongContent; with several addresses, all of their sentences in one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with turn(path.with_name(f".{path.name}.partial")) as stream:
        if path.is_file() and (digest := _digest_if_good(path, expected)) is not None:
            return digest
        errors: list[DownloadError] = []
        for url in urls:
            try:
                return _from_one(url, stream, path, expected, settings, sleep)
            except DownloadError as error:
                errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    # Another try helps only when a network failed, so that decides the kind.
    worst = next((error for error in errors if isinstance(error, Unreachable)), errors[-1])
    raise type(worst)("; ".join(map(str, errors)))


def _digest_if_good(path: Path, expected: Expected) -> str | None:
    """The hash of a file that is as expected, else None."""
    try:
        return examine(path, path.name, expected)
    except WrongContent:
        return None


def examine(path: Path, name: str, expected: Expected) -> str:
    """The SHA-256 of a file that is as expected; WrongContent says in what it differs."""
    size, digest = path.stat().st_size, sha256_of(path)
    if expected.bytes not in (None, size):
        raise WrongContent(f"{name} has {size} bytes in place of {expected.bytes}; check its address")
    if expected.hash_is_wrong(digest):
        known = expected.sha256 or expected.sha256_begins or ""
        raise WrongContent(
            f"{name} is another file than expected: SHA-256 {digest[:12]}… in place of {known[:12]}…; "
            "check its address, or bring the right file by hand"
        )
    if expected.check is not None:
        try:
            expected.check(path)
        except CastexError as error:
            raise WrongContent(f"{name} is not what it should be: {error}") from error
    return digest


def _from_one(
    url: str,
    stream: BinaryIO,
    path: Path,
    expected: Expected,
    settings: DownloadSettings,
    sleep: Callable[[float], None],
) -> str:
    """Bring the file from one address; what a resumed file has wrong is brought once more from the start."""
    partial = Partial(stream, Path(stream.name))
    while True:
        resumed = partial.size > 0
        try:
            announced = _bring(url, path.name, partial, expected, settings, sleep)
            digest = examine(Path(stream.name), path.name, announced)
            break
        except WrongContent:
            partial.empty()
            if not resumed:
                raise
    partial.becomes(path)
    return digest


def _bring(
    url: str,
    name: str,
    partial: Partial,
    expected: Expected,
    settings: DownloadSettings,
    sleep: Callable[[float], None],
) -> Expected:
    """Attempt until all bytes are there; return what is expected of them, with what the server announced."""
    failures, best = 0, partial.size
    while True:
        try:
            return _attempt(url, name, partial, expected, settings)
        except RangeRefused:
            partial.empty()
            failures += 1
            reason, wait = "the server refuses to resume", 0.0
        except NetworkError as error:
            failures = 0 if partial.size >= best + WORTHWHILE_BYTES else failures
            failures += HOPELESS_WEIGHT if error.hopeless else 1
            reason, wait = str(error), error.retry_after_s
        best = max(best, partial.size)
        if failures >= settings.attempts or wait > settings.longest_wait_s:
            asked = f", which asks to wait {wait:.0f} s" if wait > settings.longest_wait_s else ""
            raise Unreachable(
                f"{name} could not be brought from {host(url)}{asked} ({reason}); run the same command again "
                "where there is a network, it goes on where this one ended"
            )
        sleep(max(wait, min(settings.backoff_s * 2 ** (failures - 1), settings.longest_wait_s)))


def _attempt(
    url: str, name: str, partial: Partial, expected: Expected, settings: DownloadSettings
) -> Expected:
    validator, total = partial.origin(url)
    first = partial.size
    if validator is None and expected.sha256 is None:
        first = 0
    if first and first == total:
        return expected
    with ask(url, first=first, validator=validator, timeout_s=settings.timeout_s) as answer:
        if answer.first not in (0, first):
            raise RangeRefused
        announced = _announced(name, answer, expected, settings)
        if answer.first == 0:
            partial.empty()
        partial.comes_from(url, answer.validator, answer.total)
        _stream(name, partial, answer, settings)
    if answer.total is not None and partial.size < answer.total:
        raise NetworkError(f"the connection ended after {partial.size} of {answer.total} bytes")
    return announced


def _announced(name: str, answer: Answer, expected: Expected, settings: DownloadSettings) -> Expected:
    """Compare what the server says with what is known, before a byte is written."""
    if answer.sha256 is not None and expected.hash_is_wrong(answer.sha256):
        raise WrongContent(
            f"{name} is announced with another SHA-256, {answer.sha256[:12]}…; check its address"
        )
    if answer.total is not None and expected.bytes not in (None, answer.total):
        raise WrongContent(
            f"{name} is announced with {answer.total} bytes in place of {expected.bytes}; check its address"
        )
    _refuse_giant(name, answer.total or 0, settings)
    return replace(expected, sha256=expected.sha256 or answer.sha256, bytes=expected.bytes or answer.total)


def _stream(name: str, partial: Partial, answer: Answer, settings: DownloadSettings) -> None:
    kilobytes = None if answer.total is None else max(1, answer.total // 1000)
    progress = kilobytes and Progress(f"fetch {name} (kB)", kilobytes, first=answer.first // 1000)
    for chunk in answer.chunks():
        partial.append(chunk)
        _refuse_giant(name, partial.size, settings)
        if progress:
            progress.update(partial.size // 1000)


def _refuse_giant(name: str, size: int, settings: DownloadSettings) -> None:
    if size > settings.largest_bytes:
        raise WrongContent(
            f"{name} is larger than download.largest_bytes={settings.largest_bytes}; check its address"
        )
