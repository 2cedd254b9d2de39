"""Say what this machine lacks for a configuration: one line and one remedy each. Opens no socket.

Ends with 0 when everything that the configuration needs is here, with 1 otherwise. Run it in the checkout.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configfile", type=Path, help="overlay, such as config/paper.yaml; the mini scale without"
    )
    parser.add_argument("--output", type=Path, help="write the lines to this file as well")


def run(arguments: argparse.Namespace) -> None:
    from castex.doctor import survey
    from castex.files import write_text

    findings = survey(arguments.configfile)
    lacking = sum(finding.status == "missing" for finding in findings)
    verdict = {0: "nothing is missing", 1: "1 thing is missing"}.get(lacking, f"{lacking} things are missing")
    text = "".join(f"{finding.line()}\n" for finding in findings) + f"{verdict}\n"
    print(text, end="")
    if arguments.output is not None:
        write_text(arguments.output, text)
    if lacking:
        sys.exit(1)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["doctor", *sys.argv[1:]]))
