"""What every verb and every workflow script shares: one-sentence errors, exit codes, logs."""

from __future__ import annotations

import argparse
import errno
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from castex.config import first_fault
from castex.errors import CastexError

ENDING = (signal.SIGTERM, signal.SIGHUP)
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def entry(module: ModuleType, verb: str, argv: Sequence[str] | None = None) -> int:
    """Parse `argv` for one verb module and run it; return the exit code."""
    parser = argparse.ArgumentParser(prog=f"castex {verb}", description=module.__doc__)
    module.add_arguments(parser)
    with _readers_may_leave():
        arguments = parser.parse_args(argv)
        return guarded(verb, lambda: module.run(arguments))


def guarded(verb: str, action: Callable[[], None]) -> int:
    """Run `action`; print what a person can mend as one sentence, let our own bugs show their traceback.

    SIGTERM and SIGHUP end it as an exception does, so child processes and temporary files go with it.
    """
    try:
        with _signals_unwind():
            action()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return _fail(verb, "interrupted; the same command continues from the last checkpoint", code=130)
    except Exception as error:
        sentence = explained(error)
        if sentence is None:
            raise
        return _fail(verb, sentence)
    return 0


def explained(error: Exception) -> str | None:
    """One sentence for an error that a person can mend; None for a bug."""
    if isinstance(error, CastexError):
        return str(error)
    if isinstance(error, ValidationError):
        return first_fault(error)
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return f"the disk is full ({error}); free some space and run the command again"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot read or write {error.filename} ({error.strerror}); check the path or choose another"
    return None


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Signals that would end the process on the spot raise SystemExit(128 + number); ignored ones stay so."""

    def unwind(number: int, _: object) -> None:
        for ending in ENDING:  # a second one is not to interrupt the cleaning up
            signal.signal(ending, signal.SIG_IGN)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there alone
        yield
        return
    before = {ending: signal.getsignal(ending) for ending in ENDING}
    ours = [ending for ending, handler in before.items() if handler is signal.SIG_DFL]
    for ending in ours:
        signal.signal(ending, unwind)
    try:
        yield
    finally:
        for ending in ours:
            signal.signal(ending, signal.SIG_DFL)


@contextmanager
def _readers_may_leave() -> Iterator[None]:
    """Whoever reads the output may stop early, as `head` does: what is left of it goes nowhere, quietly."""
    try:
        yield
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            # The interpreter tries once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nobody_reads() -> bool:
    """Whether our own output is the pipe that broke."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):  # no output, or none with a descriptor
        return False
    return any(state & select.POLLERR for _, state in poll.poll(0))


@contextmanager
def logged(log: str | Path) -> Iterator[None]:
    """For workflow scripts: errors go to the rule's log as well, a mendable one as a sentence."""
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")
    try:
        yield
    except Exception as error:
        path.write_text((explained(error) or traceback.format_exc()) + "\n", encoding="utf-8")
        print(path.read_text(encoding="utf-8"), file=sys.stderr, end="")
        sys.exit(1)


def _fail(verb: str, message: str, code: int = 2) -> int:
    print(f"castex {verb}: {message}", file=sys.stderr)
    return code
