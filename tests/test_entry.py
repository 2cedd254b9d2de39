"""A verb that is terminated cleans up after itself; one whose output nobody reads ends quietly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from castex.cli._entry import guarded
from castex.uv.unwrap import CHILD

MESH = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 4 3\n"
UNTIL = 60.0

# The child writes its process id beside itself and never ends; the verb runs as it is.
PREPARE = """
import sys
from castex.uv import unwrap
unwrap.unwrap.__kwdefaults__["command"] = (sys.executable, sys.argv[1])
from castex.cli import main
sys.exit(main(["prepare", *sys.argv[2:]]))
"""
ENDLESS = """
import os, pathlib, sys, time
from castex.uv._xatlas_child import end_with
end_with(int(sys.argv[5]))
place = pathlib.Path(sys.argv[0])
place.with_suffix(".new").write_text(f"{os.getpid()} {pathlib.Path(sys.argv[1]).parent}")
place.with_suffix(".new").rename(place.with_suffix(".pid"))
time.sleep(600)
"""


def appears(path):
    end = time.monotonic() + UNTIL
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.05)


def ends(pid):
    """Whether a process is gone, or a zombie that nobody waits for, within the time."""
    end = time.monotonic() + UNTIL
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_unwrapper_ends_with_the_verb(number, tmp_path):
    (tmp_path / "a.obj").write_text(MESH)
    (tmp_path / "child.py").write_text(ENDLESS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    verb = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PREPARE,
            tmp_path / "child.py",
            tmp_path / "a.obj",
            "--output",
            tmp_path / "out",
        ],
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        appears(tmp_path / "child.pid")
        pid, folder = (tmp_path / "child.pid").read_text().split(" ", 1)
        assert list(temporary.iterdir()), folder
        verb.send_signal(number)
        assert verb.wait(timeout=UNTIL) == (-9 if number == signal.SIGKILL else 128 + number)
    finally:
        verb.kill()
        verb.wait()
    assert ends(int(pid))
    if number != signal.SIGKILL:  # after which nobody is left to do it
        assert not list(temporary.iterdir())


def test_a_child_whose_parent_has_ended_already_does_nothing():
    command = [*CHILD, "no.npz", "out.npz", "3", "1500", str(1 << 22)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == "the process that wanted the layout has ended\n"


def test_a_terminated_writer_leaves_no_partial_file(tmp_path):
    code = """
import sys, time
from pathlib import Path
from castex.cli._entry import guarded
from castex.files import atomic_path
def write():
    with atomic_path(Path(sys.argv[1])) as partial:
        partial.write_text("half")
        print("written", flush=True)
        for _ in range(6000):  # a signal in the instant before one long sleep would be noticed after it
            time.sleep(0.1)
sys.exit(guarded("write", write))
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "a.txt"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "written\n"
    assert len(list(tmp_path.iterdir())) == 1
    writer.terminate()
    assert writer.wait(timeout=UNTIL) == 143
    assert not list(tmp_path.iterdir())


def test_signals_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    assert guarded("verb", lambda: None) == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_a_signal_that_is_ignored_stays_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert guarded("verb", lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def unread(arguments, folder, **environment):
    """Exit code and errors of a command whose output is a pipe that is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            stdout=writing, stderr=subprocess.PIPE, text=True, cwd=folder, check=False,
            env={**os.environ, **environment},
        )  # fmt: skip
    finally:
        os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", [["inspect", "a.obj"], ["inspect", "a.obj", "--json"], ["inspect", "--help"]]
)
def test_output_that_nobody_reads_ends_quietly(arguments, unbuffered, tmp_path):
    (tmp_path / "a.obj").write_text(MESH)
    code, errors = unread(["-m", "castex.cli.inspect", *arguments[1:]], tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert code in (0, 141) and errors == ""


def test_a_fault_is_told_even_if_nobody_reads_the_output(tmp_path):
    code, errors = unread(["-m", "castex.cli.inspect", "no.obj"], tmp_path)
    assert code == 2 and errors.startswith("castex inspect: ") and errors.count("\n") == 1


def test_a_broken_pipe_that_is_not_our_output_is_a_bug():
    def write():
        reading, writing = os.pipe()
        os.close(reading)
        try:
            os.write(writing, b"x")
        finally:
            os.close(writing)

    with pytest.raises(BrokenPipeError):
        guarded("verb", write)
