"""What every verb shares: parsing, one-sentence errors, exit codes."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from types import ModuleType

from pydantic import ValidationError

from castex.config import first_fault
from castex.errors import CastexError

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def entry(module: ModuleType, verb: str, argv: Sequence[str] | None = None) -> int:
    """Parse `argv` for one verb module and run it; return the exit code."""
    parser = argparse.ArgumentParser(prog=f"castex {verb}", description=module.__doc__)
    module.add_arguments(parser)
    return guarded(verb, lambda: module.run(parser.parse_args(argv)))


def guarded(verb: str, action: object) -> int:
    """Run `action`; print what a person can mend as one sentence, let our own bugs show their traceback."""
    assert callable(action)
    try:
        action()
    except CastexError as error:
        return _fail(verb, str(error))
    except ValidationError as error:
        return _fail(verb, first_fault(error))
    except OSError as error:
        if error.errno in FULL_DISK:
            return _fail(verb, f"the disk is full ({error}); free some space and run the command again")
        if isinstance(error, (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)):
            return _fail(verb, f"cannot write: {error}; choose another --output")
        raise
    except KeyboardInterrupt:
        return _fail(verb, "interrupted; the same command continues from the last checkpoint", code=130)
    return 0


def _fail(verb: str, message: str, code: int = 2) -> int:
    print(f"castex {verb}: {message}", file=sys.stderr)
    return code
