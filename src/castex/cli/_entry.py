"""What every verb and every workflow script shares: one-sentence errors, exit codes, logs."""

from __future__ import annotations

import argparse
import errno
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from castex.config import first_fault
from castex.errors import CastexError

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def entry(module: ModuleType, verb: str, argv: Sequence[str] | None = None) -> int:
    """Parse `argv` for one verb module and run it; return the exit code."""
    parser = argparse.ArgumentParser(prog=f"castex {verb}", description=module.__doc__)
    module.add_arguments(parser)
    arguments = parser.parse_args(argv)
    return guarded(verb, lambda: module.run(arguments))


def guarded(verb: str, action: Callable[[], None]) -> int:
    """Run `action`; print what a person can mend as one sentence, let our own bugs show their traceback."""
    try:
        action()
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
