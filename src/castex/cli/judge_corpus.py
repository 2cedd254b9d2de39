"""Render the pairs of colour and material that the corpus leaves out, for the training of the judge.

The generators never see these pictures. Shards that exist already are kept, so an interrupted run continues.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", type=Path, required=True, help="folder that the rule `corpus` wrote")
    parser.add_argument("--meshes", type=Path, nargs="+", required=True, help="the GLB files it was made of")
    parser.add_argument("--output", type=Path, required=True, help="folder for shards/ and corpus.json")


def run(arguments: argparse.Namespace) -> None:
    from castex.training.missing_pairs import make_missing

    record = make_missing(arguments.corpus, arguments.meshes, arguments.output)
    print(f"{len(record['shards'])} shards in {arguments.output} in {record['seconds']:.0f} s")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["judge_corpus", *sys.argv[1:]]))
