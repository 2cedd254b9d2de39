"""Figure 3 in closed form: what can be derived of anchored and unanchored upsampling, and what runs do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the settings")
    parser.add_argument("--seed", type=int, default=0, help="seed of pictures and noise (0)")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.anchoring_theory import SOURCES, derived, predictor, simulated, step_share
    from castex.files import read_json, write_json
    from castex.settings.anchoring import AnchoringTheorySettings

    settings = AnchoringTheorySettings.model_validate(read_json(arguments.settings))
    found = {
        source: {
            "derived": derived(settings, source),
            "runs": simulated(settings, source, seed=arguments.seed),
        }
        for source in SOURCES
    }
    trust = predictor(settings).trust(settings.level)
    write_json(
        arguments.output,
        {"trust": trust, "step_share": step_share(settings), "seed": arguments.seed, "covered": found},
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["anchoring_theory", *sys.argv[1:]]))
