"""How many training pictures this machine renders in a second; they go to a scratch folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the corpus's settings")
    parser.add_argument("--meshes", type=Path, nargs="+", required=True, help="GLB files to render")
    parser.add_argument("--workers", type=int, default=2, help="processes that render side by side (2)")
    parser.add_argument("--budgets", type=Path, required=True, help="YAML file of budgets to compare with")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--table", type=Path, required=True, help="CSV file for the comparison")


def run(arguments: argparse.Namespace) -> None:
    import tempfile

    from castex.budget import compared, processor
    from castex.files import read_json, write_json, write_text
    from castex.settings.training import CorpusSettings
    from castex.training.corpus_run import CorpusJob, make_corpus

    settings = CorpusSettings.model_validate(read_json(arguments.settings))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.output.parent) as scratch:
        job = CorpusJob(settings, tuple(arguments.meshes), False, "cpu", Path(scratch))
        record = make_corpus(job, workers=arguments.workers)
    rate = record["rendered"] / record["seconds"]
    told = {key: record[key] for key in ("pictures", "seconds", "workers", "settings")}
    write_json(arguments.output, told | {"pictures_per_s": rate, "processor": processor()})
    write_text(arguments.table, compared({"pictures_per_s": rate}, arguments.budgets))
    print(f"{rate:.0f} pictures a second with {arguments.workers} workers")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_corpus", *sys.argv[1:]]))
