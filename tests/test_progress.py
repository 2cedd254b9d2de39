"""Progress lines with an ETA, on a terminal and in a file."""

from __future__ import annotations

import io

from castex.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def report(stream, seconds, steps, first=0):
    clock = iter(seconds)
    progress = Progress("job", 100, first=first, stream=stream, clock=lambda: next(clock))
    for step in steps:
        progress.update(step, "psnr 12.30")
    return stream.getvalue()


def test_a_file_gets_whole_lines_now_and_then():
    lines = report(io.StringIO(), [0, 1, 2, 3, 7, 8, 50], [10, 20, 30, 40, 50, 100]).splitlines()
    assert lines[0] == "job  step 10/100  10 %  ETA 00:09  psnr 12.30"
    assert [line.split()[2] for line in lines] == ["10/100", "40/100", "100/100"]


def test_a_terminal_gets_one_line_that_is_rewritten():
    text = report(Terminal(), [0, 1, 2, 3], [10, 20, 100])
    assert text.count("\n") == 1 and text.endswith("\n") and text.count("\r") == 3


def test_a_resumed_run_counts_its_own_steps():
    """10 steps took 5 s, 40 are left: 20 s, not the 5 s that 60 steps in 5 s would promise."""
    assert "ETA 00:20" in report(io.StringIO(), [0, 5], [60], first=50)
