"""One progress line with the time that is left, on a terminal and in a log file alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from tqdm import tqdm

TERMINAL_INTERVAL_S = 0.2
FILE_INTERVAL_S = 5.0


@runtime_checkable
class Stream(Protocol):
    """What a progress line is written to: `sys.stderr`, an open text file, a StringIO."""

    def write(self, text: str, /) -> Any:
        """Append text."""
        ...

    def flush(self) -> None:
        """Hand the text on."""
        ...

    def isatty(self) -> bool:
        """Whether a person watches."""
        ...


class Progress:
    """Reports steps of one loop.

    A terminal gets one line that is rewritten; a file or a pipe gets a whole new line now and then, so
    that `tail -f` of a log shows where a job is. The rate counts only steps of this process, so a resumed
    run does not promise too much.
    """

    def __init__(
        self,
        label: str,
        total: int,
        *,
        first: int = 0,
        stream: Stream | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._total, self._first = label, total, first
        self._stream: Stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._clock = clock
        self._start = clock()
        self._due = self._start

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` of the total steps are finished; `note` is appended, for example a PSNR."""
        now = self._clock()
        if now < self._due and done < self._total:
            return
        self._due = now + (TERMINAL_INTERVAL_S if self._terminal else FILE_INTERVAL_S)
        line = f"{self._label}  step {done}/{self._total}  {100 * done // max(self._total, 1)} %"
        if done > self._first:
            left = (now - self._start) / (done - self._first) * (self._total - done)
            line += f"  ETA {tqdm.format_interval(left)}"
        self._write(line + (f"  {note}" if note else ""), last=done >= self._total)

    def _write(self, line: str, *, last: bool) -> None:
        if self._terminal:
            self._stream.write(f"\r{line}\x1b[K" + ("\n" if last else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
