"""Writes are whole or absent, whatever goes wrong in between."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from castex import files
from castex.errors import InputError
from castex.files import (
    atomic_path,
    copy,
    fingerprint,
    read_json,
    read_text,
    sha256,
    write_json,
    write_text,
    write_together,
)


def test_write_replaces_whole_files(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "a.png") as partial:
        assert partial.suffix == ".png" and partial.parent == tmp_path
        partial.write_bytes(b"x")


def test_an_error_leaves_the_old_bytes_and_no_debris(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_loses_nothing(tmp_path):
    """A file-size limit makes the kernel refuse the write in the middle, as a full disk does."""
    path = tmp_path / "a.bin"
    write_text(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError) as caught:
            write_text(path, "x" * 1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_in_the_middle_leaves_the_old_bytes(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import sys, time; from pathlib import Path; from castex.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); print('written', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "written\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2, "the killed process left its partial file"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path], "and the next write swept it away"


def test_another_process_that_is_still_writing_is_left_alone(tmp_path):
    with atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("whole")
        alive = partial.with_name(partial.name.replace(str(os.getpid()), str(os.getppid())))
        alive.write_text("half")
    write_text(tmp_path / "a.txt", "whole")
    assert alive.exists()


def test_another_host_is_left_alone(tmp_path, monkeypatch):
    """Of two hosts that share a folder, each judges its own processes alone; equal ids do not collide."""
    path = tmp_path / "a.txt"
    names = []
    for name in ("one", "two"):
        monkeypatch.setattr(files.os, "uname", lambda name=name: SimpleNamespace(nodename=name))
        files._host.cache_clear()
        with atomic_path(path) as partial:
            partial.write_text(name)
        names.append(partial.name)
        assert name not in partial.name.replace("txt", ""), "no host is named"
    assert names[0] != names[1] and all(name.endswith(f"-{os.getpid()}.partial.txt") for name in names)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    theirs, ours = (tmp_path / name.replace(str(os.getpid()), str(dead.pid)) for name in names)
    for debris in (theirs, ours):
        debris.write_text("half")
    write_text(path, "whole")
    assert theirs.exists() and not ours.exists()
    files._host.cache_clear()


def test_a_host_is_told_apart_after_it_was_started_anew(tmp_path, monkeypatch):
    tokens = set()
    for boot in ("one", "two", None):
        monkeypatch.setattr(files, "BOOT", tmp_path / str(boot))
        if boot is not None:
            (tmp_path / boot).write_text(boot)
        files._host.cache_clear()
        tokens.add(files._host())
    files._host.cache_clear()
    assert len(tokens) == 3 and all(len(token) == 8 for token in tokens)


def test_several_files_change_together_or_not_at_all(tmp_path):
    write_together(tmp_path, {"a": b"1", "b": b"1"})
    (tmp_path / "c").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_together(tmp_path, {"a": b"2", "c": b"2"})
    write_together(tmp_path, {"a": b"3", "b": b"3"})
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"3", b"3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_last_name_is_given_last(tmp_path, monkeypatch):
    named = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (named.append(to.name), replace(self, to))[1])
    write_together(tmp_path, {"picture": b"", "trace": b"", "result": b""})
    assert named == ["picture", "trace", "result"]


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json cannot be read \(No such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read_json(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json is no JSON"):
        read_json(tmp_path / "bad.json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no UTF-8 text"):
        read_text(tmp_path / "bytes")


def test_json_is_strict_and_stable(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5], "b": 1}
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_hashes(tmp_path):
    write_text(tmp_path / "a", "abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")
    copy(tmp_path / "a", tmp_path / "b")
    assert sha256(tmp_path / "b") == sha256(tmp_path / "a")
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 2, "b": 1})
