"""One request over HTTP: the answer's bytes, or one of four errors that tell what can be done.

Beside `fetch`, which uses the Hub's own client, this is the only module that opens a socket. Proxies come
from the environment as usual (HTTPS_PROXY, NO_PROXY).
"""

from __future__ import annotations

import email.utils
import errno
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from castex.errors import CastexError

CHUNK = 1 << 18
AGENT = "castex (reproducibility package)"
GONE = {404, 410}
# Servers say these when they are busy or broken, not when a request is wrong.
PASSING = {408, 425, 429, 500, 502, 503, 504}
UNSATISFIABLE = 416


class DownloadError(CastexError):
    """A file could not be brought: the sentence says from where, why, and what to do."""


class Unreachable(DownloadError):
    """The network or the server failed as often as it was allowed to."""


class NotThere(DownloadError):
    """The server says that there is no such file."""


class Refused(DownloadError):
    """The server does not give this file, and asking again would not help."""


class NetworkError(Exception):
    """What may pass: a dropped or stalled connection, a busy or broken server. For `download` alone."""

    def __init__(self, reason: str, *, retry_after_s: float = 0.0, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.hopeless = hopeless
        """Without name resolution or a route, patience rarely helps."""


class RangeRefused(Exception):
    """The server cannot go on where the partial file ends (416). For `download` alone."""


@dataclass(frozen=True)
class Answer:
    """A file that a server is about to send, and what it says of it; None where it says nothing."""

    first: int
    """Position of the first byte that comes; 0 when the server ignored the range."""
    total: int | None
    """Size of the whole file."""
    validator: str | None
    """A strong ETag, or a date: what If-Range needs to resume."""
    sha256: str | None
    """The hash that the Hugging Face Hub announces for large files (X-Linked-Etag)."""
    response: http.client.HTTPResponse

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come; NetworkError when the connection breaks or stalls."""
        while True:
            try:
                chunk = self.response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _network_error(error) from error
            if not chunk:
                return
            yield chunk


def host(url: str) -> str:
    """The host of an address, for a sentence."""
    return urlsplit(url).netloc


@contextmanager
def ask(url: str, *, first: int = 0, validator: str | None = None, timeout_s: float) -> Iterator[Answer]:
    """Ask for a file from its byte `first` on, provided that it still has the `validator`.

    NotThere, Refused, NetworkError or RangeRefused when there is no answer with a file in it.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise Refused(f"{url} is no address that starts with http:// or https://; correct the configuration")
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if first:
        headers["Range"] = f"bytes={first}-"
        headers |= {} if validator is None else {"If-Range": validator}
    redirects = _Redirects()
    try:
        response = _opener(redirects).open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise _of_status(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _no_answer(url, error) from error
    with response:
        yield _answer(response, redirects.sha256)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, never from https to http, and reads the hash that the Hub puts beside them."""

    sha256: str | None = None

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The next request; Refused instead of one that is no longer encrypted."""
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise Refused(f"{host(req.full_url)} redirects to an unprotected address; give another one")
        linked = re.fullmatch(r'"?([0-9a-f]{64})"?', headers.get("X-Linked-Etag", ""))
        self.sha256 = linked[1] if linked else self.sha256
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(redirects: _Redirects) -> urllib.request.OpenerDirector:
    """An opener for http and https alone: the default one also opens file: and ftp: addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        redirects,
    ):
        opener.add_handler(handler)
    return opener


def _answer(response: http.client.HTTPResponse, sha256: str | None) -> Answer:
    headers = response.headers
    length = headers.get("Content-Length", "")
    first, total = 0, int(length) if length.isdigit() else None
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
        if part is None:
            raise RangeRefused
        first, total = int(part[1]), int(part[2]) if part[2].isdigit() else None
    tag = headers.get("ETag", "")
    # A weak ETag promises equal meaning, not equal bytes.
    validator = tag if tag.startswith('"') else headers.get("Last-Modified")
    return Answer(first, total, validator, sha256, response)


def _of_status(url: str, error: urllib.error.HTTPError) -> Exception:
    if error.code == UNSATISFIABLE:
        return RangeRefused()
    if error.code in GONE:
        return NotThere(f"{host(url)} has no file at {url} (HTTP {error.code}); check the address")
    if error.code in PASSING:
        return NetworkError(f"HTTP {error.code}", retry_after_s=_retry_after(error.headers))
    if error.code in (401, 403):
        return Refused(
            f"{host(url)} does not give {url} (HTTP {error.code}); accept its licence on its page if it has "
            "one, or bring the file by hand"
        )
    return Refused(f"{host(url)} answers {url} with HTTP {error.code}; check the address")


def _retry_after(headers: Message) -> float:
    """Seconds that the server asks to wait: it gives a number or a date."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    parsed = email.utils.parsedate_tz(value)
    return 0.0 if parsed is None else max(0.0, email.utils.mktime_tz(parsed) - time.time())


def _no_answer(url: str, error: Exception) -> Exception:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Refused(
            f"the certificate of {host(url)} is not trusted ({reason.verify_message}); mend the machine's "
            "certificates or its proxy, or bring the file by hand"
        )
    return _network_error(reason if isinstance(reason, Exception) else error)


def _network_error(error: Exception) -> NetworkError:
    if isinstance(error, TimeoutError):
        return NetworkError("no answer in time")
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    unrouted = getattr(error, "errno", None) in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    # What http.client says when a proxy refuses to pass a connection on.
    barred = text.startswith("Tunnel connection failed: 4")
    return NetworkError(text, hopeless=isinstance(error, socket.gaierror) or unrouted or barred)
