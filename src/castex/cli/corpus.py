"""Render the training pictures of the mini models: every mesh, material and colour, in shards.

Shards that exist already are kept, so an interrupted run continues. `corpus.json`, which lists them with
their checksums, is written last.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the corpus's settings")
    parser.add_argument("--meshes", type=Path, nargs="+", required=True, help="GLB files, one per mesh")
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="exhibits' lights and all pairs: for yardsticks and the judge",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that render side by side")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to render")
    parser.add_argument("--output", type=Path, required=True, help="folder for shards/ and corpus.json")


def run(arguments: argparse.Namespace) -> None:
    from castex.errors import InputError
    from castex.files import read_json
    from castex.settings.training import CorpusSettings
    from castex.training.corpus_run import CorpusJob, make_corpus

    if arguments.workers < 1:
        raise InputError(f"--workers is {arguments.workers}; give at least 1")
    job = CorpusJob(
        settings=CorpusSettings.model_validate(read_json(arguments.settings)),
        meshes=tuple(arguments.meshes),
        held_out=arguments.held_out,
        device=arguments.device,
        folder=arguments.output,
    )
    record = make_corpus(job, workers=arguments.workers)
    print(f"{record['pictures']} pictures in {len(record['shards'])} shards in {arguments.output}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["corpus", *sys.argv[1:]]))
