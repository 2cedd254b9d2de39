"""A stand-in for the Hugging Face Hub on this machine: listings, commits, gates and files by commit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Hub(ThreadingHTTPServer):
    """`commits` by repository: commit -> file -> bytes, the newest last; `gated` ones give nothing."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.commits, self.gated, self.asked = {}, set(), []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = urlsplit(self.path).path.strip("/").split("/")
        self.server.asked.append((self.command, "/".join(parts)))
        api = parts[:2] == ["api", "models"]
        repository = "/".join(parts[2:4] if api else parts[:2])
        if repository in self.server.gated:
            return self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if repository not in self.server.commits:
            return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        commits = self.server.commits[repository]
        if api:
            return self._listing(commits, parts[4:])
        self._file(commits, parts[3], "/".join(parts[4:]))

    def _listing(self, commits, rest):
        if rest[:1] == ["commits"]:
            fields = {"authors": [], "date": "2024-01-01T00:00:00.000Z", "title": "t", "message": "m"}
            return self._answer(200, json.dumps([{"id": c, **fields} for c in reversed(commits)]).encode())
        commit = rest[1] if rest else list(commits)[-1]
        if commit not in commits:
            return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        files = [
            {"rfilename": name, "size": len(content), "blobId": "0", **self._large(name, content)}
            for name, content in commits[commit].items()
        ]
        self._answer(200, json.dumps({"id": "x", "sha": commit, "siblings": files}).encode())

    def _large(self, name, content):
        """What the Hub says of files that it keeps apart from git: their SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        lfs = {"sha256": digest, "size": len(content), "pointerSize": 1}
        return {"lfs": lfs} if name.endswith(".safetensors") else {}

    def _file(self, commits, commit, name):
        commit = list(commits)[-1] if commit == "main" else commit
        if commit not in commits:
            return self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        if name not in commits[commit]:
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        content = commits[commit][name]
        tag = f'"{hashlib.sha1(content).hexdigest()}"'
        self._answer(200, content, {"X-Repo-Commit": commit, "ETag": tag})

    def _answer(self, status, body, headers=None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextlib.contextmanager
def running(monkeypatch):
    """A Hub that runs while the block does, and that huggingface_hub takes for the real one."""
    from huggingface_hub import constants

    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
