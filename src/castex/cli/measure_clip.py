"""Measure a CLIP model as a judge: its names on held-out renders, and on grey objects as the control.

Writes yardstick.json. Whether the judge passed stands in it; a judge that did not is no error here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clip", type=Path, required=True, help="model folder")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of the held-out pictures")
    parser.add_argument("--output", type=Path, required=True, help="yardstick.json to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.files import write_json
    from castex.judge import load_judge
    from castex.training.clip_yardstick import clip_yardstick
    from castex.training.corpus_data import read_corpus
    from castex.weights import verify

    judge = load_judge(arguments.clip)
    pictures = read_corpus(arguments.held_out, "both")
    found = clip_yardstick(judge, pictures)
    files = verify(arguments.clip).files
    write_json(arguments.output, {"files": files, "pictures": pictures.identity, **found})
    for row in found["rows"]:
        print(
            f"{row['variant']:9} {row['size']:4} px  {row['light']:7} {row['metric']:18} {row['value']:.4f}"
        )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_clip", *sys.argv[1:]]))
