"""A web server of our own for tests: it serves bytes by path, and misbehaves on demand."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """One file. `faults` are used up one per request; then the file is served well."""

    content: bytes
    faults: list = field(default_factory=list)
    headers: dict = field(default_factory=dict)
    etag: bool = True
    ranges: bool = True


@dataclass
class Fault:
    """What one request gets in place of a good answer."""

    status: int | None = None
    """An error status, with `headers`."""
    after: int | None = None
    """Send this many bytes of the body, then drop, or stall, the connection."""
    stall_s: float = 0.0
    reset: bool = False
    """Drop with a reset in place of an orderly end."""
    headers: dict = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """`pages` by path; `asked` remembers each request as (path, Range header)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked = {}, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def serve(self, path, content, **page):
        self.pages[path] = Page(content, **page)
        return f"{self.url}{path}"

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        page = self.server.pages.get(self.path)
        if page is None:
            return self._status(404, {})
        fault = page.faults.pop(0) if page.faults else Fault()
        if fault.status is not None:
            return self._status(fault.status, fault.headers)
        self._body(page, fault)

    def _status(self, status, headers):
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, page, fault):
        tag = f'"{hashlib.md5(page.content).hexdigest()}"'
        first, status = 0, 200
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if page.ranges and wanted and self.headers.get("If-Range", tag) == tag:
            first, status = int(wanted[1]), 206
            if first >= len(page.content):
                return self._status(416, {})
        body = page.content[first:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{len(page.content) - 1}/{len(page.content)}")
        if page.etag:
            self.send_header("ETag", tag)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(body, fault)

    def _send(self, body, fault):
        self.wfile.write(body[: fault.after])
        self.wfile.flush()
        if fault.after is None:
            return
        time.sleep(fault.stall_s)
        self.close_connection = True
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


@contextlib.contextmanager
def running():
    """A server that runs while the block does."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
