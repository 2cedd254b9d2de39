"""Broken meshes through the whole chain: rendered, or refused with one sentence; no hang, no silent NaN."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import hostile
import pytest
from conftest import SHARED
from hostile_chain import rendered

from castex.cli import main
from castex.errors import InputError

BATCH = 125
# One of each kind of harm; the long test takes all.
SAMPLE = sorted(hostile.USED)[::3]


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_is_rendered_or_refused(name, tmp_path):
    path = hostile.USED[name](tmp_path)
    start = time.monotonic()
    try:
        rendered(path)
    except InputError as error:
        assert "\n" not in str(error)
    assert time.monotonic() - start < 60


@pytest.mark.long
@pytest.mark.parametrize("name", hostile.CASES)
def test_every_case_is_rendered_or_refused(name, tmp_path):
    start = time.monotonic()
    try:
        rendered(hostile.CASES[name](tmp_path))
    except InputError as error:
        assert "\n" not in str(error)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("verb", ["inspect", "export", "render"])
def test_the_command_line_says_it_in_one_sentence(verb, tmp_path, capsys):
    path = hostile.REFUSED[sorted(hostile.REFUSED)[0]](tmp_path)
    output = [] if verb == "inspect" else ["--output", str(tmp_path / "out")]
    assert main([verb, str(path), *output]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith(f"castex {verb}: ") and "\n" not in message and "Traceback" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 500, BATCH))
def test_500_damaged_files_through_the_chain(first, tmp_path, root):
    real = str(SHARED) if SHARED.is_dir() else "-"
    command = [sys.executable, str(root / "tests" / "hostile_chain.py"), str(tmp_path), real, str(first)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(root / "src")}
    finished = subprocess.run(
        [*command, str(first + BATCH)], capture_output=True, text=True, env=environment, timeout=3000
    )
    lines = [line for line in finished.stdout.splitlines() if line.split()[0].isdigit()]
    assert finished.returncode == 0, f"seed {lines[-1:]}: {finished.stderr[-2000:]}"
    assert len(lines) == BATCH
