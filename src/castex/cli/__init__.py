"""The `castex` command: one thin module per verb."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from castex.cli._entry import entry

VERBS = {
    "reconstruct": "recover a picture by score distillation, in pixel or latent space (Figure 2)",
    "picture": "write a target picture as PNG",
    "fetch": "bring or find a model, check it, and record its hashes",
    "train_vae": "train the mini autoencoder",
    "measure_vae": "measure an autoencoder against the best linear block code",
    "ship_models": "check the yardsticks and copy trained models to data/mini",
    "schema": "write the schema of the configuration files",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch `castex VERB ...`; each verb's module is imported only when it is used."""
    # Before torch is loaded: threads that spin while they wait make a shared machine many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in VERBS:
        verb = arguments[0]
        return entry(importlib.import_module(f"castex.cli.{verb}"), verb, arguments[1:])
    listing = "\n".join(f"  {verb:<12} {meaning}" for verb, meaning in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="castex",
        description="CasTex, reproduced.",
        epilog=f"verbs:\n{listing}\n\n`castex VERB --help` explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB")
    parser.parse_args(arguments)
    return 0
