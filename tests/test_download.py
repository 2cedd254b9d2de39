"""Downloads against a web server of our own that drops, stalls, lies and limps."""

from __future__ import annotations

import fcntl
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from email.utils import formatdate

import pytest
from http_server import Fault, running
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from castex.errors import InputError
from castex.fetch.content import check_content
from castex.fetch.download import Expected, WrongContent, download
from castex.fetch.web import NotThere, Refused, Unreachable
from castex.settings.assets import DownloadSettings

BODY = bytes(range(256)) * 4096
PATIENCE = DownloadSettings(timeout_s=5, attempts=4, backoff_s=1, longest_wait_s=30)


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as started:
        yield started


class Clock:
    """Stands in for time.sleep and remembers the waits."""

    def __init__(self):
        self.waits = []

    def __call__(self, seconds):
        self.waits.append(seconds)


@pytest.fixture
def clock():
    return Clock()


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_comes_whole_and_leaves_nothing_else(server, tmp_path, clock, capsys):
    url = server.serve("/a/file.bin", BODY)
    path = tmp_path / "new" / "file.bin"
    assert download([url], path, Expected(), PATIENCE, sleep=clock) == digest(BODY)
    assert path.read_bytes() == BODY and left(tmp_path) == ["file.bin"]
    assert "fetch file.bin (kB)" in capsys.readouterr().err and clock.waits == []


def test_a_good_file_is_not_asked_for_and_a_damaged_one_is_replaced(server, tmp_path, clock):
    url = server.serve("/f", BODY)
    path = tmp_path / "f"
    path.write_bytes(BODY[:-1])
    expected = Expected(sha256=digest(BODY))
    for _ in range(2):
        assert download([url], path, expected, PATIENCE, sleep=clock) == digest(BODY)
    assert server.asked == [("/f", None)]


@pytest.mark.parametrize("fault", [Fault(after=1000), Fault(after=70_000, reset=True)])
def test_a_dropped_connection_is_resumed_where_it_broke(server, tmp_path, clock, fault):
    url = server.serve("/f", BODY, faults=[fault])
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == BODY and left(tmp_path) == ["f"]
    assert clock.waits == [1]
    (_, none), (_, ranged) = server.asked
    # A reset may throw away what the kernel had not handed on yet.
    assert none is None and (ranged is None or int(ranged[6:-1]) <= fault.after)
    if not fault.reset:
        assert ranged == "bytes=1000-"


def test_a_stalled_connection_is_given_up_and_resumed(server, tmp_path, clock):
    url = server.serve("/f", BODY, faults=[Fault(after=500, stall_s=20)])
    patience = PATIENCE.model_copy(update={"timeout_s": 0.2})
    started = time.monotonic()
    download([url], tmp_path / "f", Expected(), patience, sleep=clock)
    assert (tmp_path / "f").read_bytes() == BODY and server.asked[1] == ("/f", "bytes=500-")
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("page", [{"ranges": False}, {"etag": False}])
def test_without_ranges_or_a_validator_it_starts_anew(server, tmp_path, clock, page):
    url = server.serve("/f", BODY, faults=[Fault(after=1000)], **page)
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.asked[1] == ("/f", "bytes=1000-" if "ranges" in page else None)


def test_a_known_hash_is_validator_enough(server, tmp_path, clock):
    url = server.serve("/f", BODY, faults=[Fault(after=1000)], etag=False)
    download([url], tmp_path / "f", Expected(sha256=digest(BODY)), PATIENCE, sleep=clock)
    assert server.asked[1] == ("/f", "bytes=1000-")


def test_a_date_serves_where_there_is_no_etag(server, tmp_path, clock):
    date = formatdate(1_700_000_000, usegmt=True)
    page = {"etag": False, "headers": {"Last-Modified": date}}
    url = server.serve("/f", BODY, faults=[Fault(after=1000)], **page)
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert server.asked[1] == ("/f", "bytes=1000-")


def test_a_file_that_changed_between_two_attempts_is_not_glued_together(server, tmp_path, clock):
    newer = BODY[::-1]
    url = server.serve("/f", BODY, faults=[Fault(after=1000)])
    refusing = PATIENCE.model_copy(update={"attempts": 1})
    with pytest.raises(Unreachable):
        download([url], tmp_path / "f", Expected(), refusing, sleep=clock)
    server.serve("/f", newer)
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == newer


def test_a_resumed_file_with_a_wrong_hash_is_brought_once_more(server, tmp_path, clock):
    """Without a validator the first half may be that of another file; the hash finds out."""
    url = server.serve("/f", BODY, etag=False)
    (tmp_path / ".f.partial").write_bytes(b"x" * 1000)
    assert download([url], tmp_path / "f", Expected(sha256=digest(BODY)), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == BODY and server.asked == [("/f", "bytes=1000-"), ("/f", None)]


def test_a_partial_file_that_is_too_long_starts_anew(server, tmp_path, clock):
    """The server answers 416: there is nothing after the end."""
    url = server.serve("/f", BODY)
    (tmp_path / ".f.partial").write_bytes(BODY + b"more")
    assert download([url], tmp_path / "f", Expected(sha256=digest(BODY)), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == BODY and left(tmp_path) == ["f"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_tried_again_with_growing_waits(server, tmp_path, clock, status):
    url = server.serve("/f", BODY, faults=[Fault(status=status)] * 3)
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert clock.waits == [1, 2, 4] and (tmp_path / "f").read_bytes() == BODY


def test_attempts_end_with_one_sentence_and_the_next_call_goes_on(server, tmp_path, clock):
    url = server.serve("/f", BODY, faults=[Fault(after=1000 * n) for n in (1, 1, 1, 1)])
    with pytest.raises(
        Unreachable, match=r"f could not be brought from 127.0.0.1:\d+ \(the connection ended"
    ):
        download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert not (tmp_path / "f").exists() and (tmp_path / ".f.partial").stat().st_size == 4000
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert server.asked[-1] == ("/f", "bytes=4000-") and (tmp_path / "f").read_bytes() == BODY


def test_attempts_that_bring_much_do_not_count(server, tmp_path, clock):
    large = BODY * 8
    faults = [Fault(after=(1 << 20) + 10) for _ in range(7)]
    url = server.serve("/f", large, faults=faults)
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == large and len(server.asked) == 8 > PATIENCE.attempts


def test_retry_after_is_honoured(server, tmp_path, clock):
    later = formatdate(time.time() + 20, usegmt=True)
    faults = [Fault(status=429, headers={"Retry-After": value}) for value in ("7", later, "nonsense")]
    url = server.serve("/f", BODY, faults=faults)
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert clock.waits[0] == 7 and 15 < clock.waits[1] <= 20 and clock.waits[2] == 4


def test_a_server_that_asks_for_too_long_a_wait_is_left_alone(server, tmp_path, clock):
    url = server.serve("/f", BODY, faults=[Fault(status=429, headers={"Retry-After": "3600"})])
    with pytest.raises(Unreachable, match=r"asks to wait 3600 s \(HTTP 429\)"):
        download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert clock.waits == [] and left(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (404, NotThere, r"has no file at http://.*/f \(HTTP 404\)"),
        (410, NotThere, "HTTP 410"),
        (401, Refused, "accept its licence"),
        (403, Refused, "accept its licence"),
        (418, Refused, "HTTP 418"),
    ],
)
def test_what_patience_cannot_mend_is_said_at_once(server, tmp_path, clock, status, kind, sentence):
    url = server.serve("/f", BODY, faults=[Fault(status=status)])
    with pytest.raises(kind, match=sentence):
        download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert len(server.asked) == 1 and clock.waits == [] and left(tmp_path) == []


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        (
            Expected(sha256="0" * 64),
            r"another file than expected: SHA-256 [0-9a-f]{12}… in place of 000000000000…",
        ),
        (Expected(sha256_begins="00000000"), "another file than expected"),
        (Expected(bytes=17), "announced with 1048576 bytes in place of 17"),
    ],
)
def test_a_wrong_file_is_removed_and_not_asked_for_again(server, tmp_path, clock, expected, sentence):
    url = server.serve("/f", BODY)
    with pytest.raises(WrongContent, match=sentence):
        download([url], tmp_path / "f", expected, PATIENCE, sleep=clock)
    assert len(server.asked) == 1 and left(tmp_path) == []


def test_the_beginning_of_a_hash_is_compared(server, tmp_path, clock):
    url = server.serve("/f", BODY)
    download([url], tmp_path / "f", Expected(sha256_begins=digest(BODY)[:8]), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_wrong_file_does_not_touch_an_older_one(server, tmp_path, clock):
    url = server.serve("/f", BODY)
    (tmp_path / "f").write_bytes(b"older")
    with pytest.raises(WrongContent):
        download([url], tmp_path / "f", Expected(sha256="0" * 64), PATIENCE, sleep=clock)
    assert (tmp_path / "f").read_bytes() == b"older" and left(tmp_path) == ["f"]


def test_the_hash_that_the_hub_announces_is_compared(server, tmp_path, clock):
    """The Hub redirects large files to a storage host, with their SHA-256 beside the redirection."""
    target = server.serve("/storage", BODY)
    for announced, fits in ((digest(BODY), True), ("f" * 64, False)):
        moved = {"Location": target, "X-Linked-Etag": f'"{announced}"'}
        url = server.serve("/f", b"", faults=[Fault(status=302, headers=moved)])
        if fits:
            download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
            (tmp_path / "f").unlink()
        else:
            with pytest.raises(WrongContent, match="another file than expected"):
                download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)


def test_giants_are_refused_announced_or_not(server, tmp_path, clock):
    small = PATIENCE.model_copy(update={"largest_bytes": 1000})
    url = server.serve("/f", BODY)
    with pytest.raises(WrongContent, match=r"larger than download\.largest_bytes=1000"):
        download([url], tmp_path / "f", Expected(), small, sleep=clock)
    # Resuming announces only the rest; the sum counts.
    (tmp_path / ".f.partial").write_bytes(BODY[:900])
    with pytest.raises(WrongContent, match="larger than"):
        download([url], tmp_path / "f", Expected(sha256=digest(BODY)), small, sleep=clock)
    assert left(tmp_path) == []


def test_mirrors_are_asked_in_order(server, tmp_path, clock):
    good = server.serve("/good", BODY)
    bad = server.serve("/bad", BODY[::-1])
    urls = [f"{server.url}/absent", bad, good]
    download(urls, tmp_path / "f", Expected(sha256=digest(BODY)), PATIENCE, sleep=clock)
    assert [path for path, _ in server.asked] == ["/absent", "/bad", "/good"]
    with pytest.raises(NotThere, match=r"/absent .*; .* has no file at .*/gone"):
        download([f"{server.url}/absent", f"{server.url}/gone"], tmp_path / "g", Expected(), PATIENCE)


def test_no_server_at_all(tmp_path, clock):
    """A closed port, and a name that does not resolve: the second gets less patience."""
    with running() as server:
        url = f"{server.url}/f"
    with pytest.raises(Unreachable, match="refused"):
        download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert clock.waits == [1, 2, 4]


def test_without_name_resolution_there_is_less_patience(tmp_path, clock, monkeypatch):
    import socket

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"from nowhere\.invalid \(Name or service not known\)"):
        download(["http://nowhere.invalid/f"], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert len(clock.waits) == 1


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/f", "data:,x", "/etc/hostname"])
def test_only_the_web_is_opened(tmp_path, url):
    with pytest.raises(Refused, match="no address that starts with http"):
        download([url], tmp_path / "f", Expected(), PATIENCE)


def test_a_full_disk_is_no_network_error(server, tmp_path, clock, monkeypatch):
    from castex.fetch.partial import Partial

    def full(*_):
        raise OSError(28, "No space left on device", "f")

    monkeypatch.setattr(Partial, "append", full)
    url = server.serve("/f", BODY)
    with pytest.raises(OSError, match="No space left"):
        download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert len(server.asked) == 1


FETCH = """
import sys
from pathlib import Path
from castex.fetch.download import Expected, download
from castex.settings.assets import DownloadSettings
download([sys.argv[1]], Path(sys.argv[2]), Expected(), DownloadSettings(timeout_s=20))
"""


def test_a_killed_download_is_resumed(server, tmp_path, clock):
    url = server.serve("/f", BODY, faults=[Fault(after=300_000, stall_s=10)])
    command = [sys.executable, "-c", FETCH, url, str(tmp_path / "f")]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    partial = tmp_path / ".f.partial"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size == 300_000):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "f").exists() and partial.stat().st_size == 300_000
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert server.asked == [("/f", None), ("/f", "bytes=300000-")]
    assert (tmp_path / "f").read_bytes() == BODY and left(tmp_path) == ["f"]


def test_a_download_that_was_killed_before_the_renaming_asks_for_nothing(
    server, tmp_path, clock, monkeypatch
):
    from castex.fetch.partial import Partial

    url = server.serve("/f", BODY)
    with monkeypatch.context() as patch:
        patch.setattr(Partial, "becomes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    download([url], tmp_path / "f", Expected(), PATIENCE, sleep=clock)
    assert len(server.asked) == 1 and (tmp_path / "f").read_bytes() == BODY


def test_two_processes_take_turns(server, tmp_path):
    url = server.serve("/f", BODY, faults=[Fault(after=1000, stall_s=0.5)])
    command = [sys.executable, "-c", FETCH, url, str(tmp_path / "f")]
    children = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    # One broke off and resumed; the other waited, and found the file.
    assert server.asked == [("/f", None), ("/f", "bytes=1000-")]
    assert (tmp_path / "f").read_bytes() == BODY and left(tmp_path) == ["f"]


def hold(path, entered, leave):
    from castex.fetch.partial import turn

    with turn(path):
        entered.set()
        leave.wait(20)


def test_the_turn_is_exclusive(tmp_path):
    context = multiprocessing.get_context("spawn")
    entered, leave = context.Event(), context.Event()
    child = context.Process(target=hold, args=(tmp_path / "p", entered, leave))
    child.start()
    assert entered.wait(30)
    with (tmp_path / "p").open("a+b") as stream, pytest.raises(BlockingIOError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    leave.set()
    child.join(30)
    assert child.exitcode == 0 and not (tmp_path / "p").exists()


@hypothesis_settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 5000), max_size=6), etag=st.booleans(), known=st.booleans())
def test_any_sequence_of_drops_ends_with_the_same_bytes(tmp_path_factory, cuts, etag, known):
    body = BODY[:9999]
    folder = tmp_path_factory.mktemp("drops")
    patience = PATIENCE.model_copy(update={"attempts": 10})
    with running() as server:
        url = server.serve("/f", body, faults=[Fault(after=cut) for cut in cuts], etag=etag)
        expected = Expected(sha256=digest(body) if known else None)
        assert download([url], folder / "f", expected, patience, sleep=Clock()) == digest(body)
    assert (folder / "f").read_bytes() == body and left(folder) == ["f"]


@pytest.mark.parametrize(
    ("suffix", "content", "good"),
    [
        (".hdr", b"#?RADIANCE\n", True),
        (".hdr", b"<!DOCTYPE html><title>Not here</title>", False),
        (".hdr", b"version https://git-lfs.github.com/spec/v1\noid sha256:00", False),
        (".obj", b"v 0 0 0\n", True),
        (".obj", b"<html>", False),
        (".obj", b"", False),
        (".pth", b"PK\x03\x04", True),
        (".pth", b"x", False),
        (".glb", b"glTF" + b"\0" * 40, False),
        (".gz", b"\x1f\x8b\x08", False),
    ],
)
def test_content_is_compared_with_the_suffix(tmp_path, suffix, content, good):
    path = tmp_path / "file"
    path.write_bytes(content)
    if good:
        assert check_content(path, suffix) is None
    else:
        with pytest.raises(InputError):
            check_content(path, suffix)


def test_a_redirection_never_leaves_encryption():
    import urllib.request
    from http.client import HTTPMessage

    from castex.fetch.web import _Redirects

    follow, headers = _Redirects().redirect_request, HTTPMessage()
    secure = urllib.request.Request("https://a.example/f", headers={"Range": "bytes=5-"})
    with pytest.raises(Refused, match=r"a\.example redirects to an unprotected address"):
        follow(secure, None, 302, "Found", headers, "http://b.example/f")
    moved = follow(secure, None, 302, "Found", headers, "https://b.example/f")
    assert moved.full_url == "https://b.example/f" and moved.get_header("Range") == "bytes=5-"
