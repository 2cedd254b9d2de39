"""Run `snakemake --lint` and accept exactly one kind of message: rules name no software environment.

There is one environment for the whole workflow (environment.yml), so no rule carries its own. Anything
else that the linter says is a failure, and so is a run of it that does not end in a report.
"""

from __future__ import annotations

import re
import subprocess
import sys

ACCEPTED = "Specify a conda environment or container for each rule."
CLEAN = "Congratulations, your workflow is in a good condition!"


def unexpected(report: str) -> list[str]:
    """All messages of a lint report but the accepted one, each with the rule or file that it speaks of."""
    found, where = [], ""
    for line in report.splitlines():
        if heading := re.match(r"Lints for (.*):$", line):
            where = heading[1]
        elif (message := re.match(r"    \* (.*):$", line)) and message[1] != ACCEPTED:
            found.append(f"{where}: {message[1]}")
    return found


if __name__ == "__main__":
    run = subprocess.run(["snakemake", "--lint", "text"], capture_output=True, text=True, check=False)
    text = run.stdout + run.stderr
    if "Lints for" not in text and CLEAN not in text:
        sys.exit(text)
    messages = unexpected(text)
    print("\n".join(messages) or "snakemake --lint: nothing but the accepted message")
    sys.exit(bool(messages))
