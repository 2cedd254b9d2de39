"""Measure a mini base model by what the judge calls its samples; 256 prompts, then held-out pairs and none.

Writes yardstick.json and a sheet of the first samples (with an sRGB curve), in which a row is a material: its
seven colours; rust and gold share the last row. A judge that did not pass its own yardstick is refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

COLUMNS = 7
"""Pairs that the corpus holds of each material with a colour of its choice: a row of the sheet."""
ROWS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of a base model")
    parser.add_argument(
        "--clip", type=Path, required=True, help="folder of the judge, with its yardstick.json"
    )
    parser.add_argument("--settings", default="{}", metavar="JSON", help="how pictures are drawn")
    parser.add_argument("--share", type=float, default=1.0, help="part of the pictures to draw")
    parser.add_argument("--output", type=Path, required=True, help="yardstick.json to write")
    parser.add_argument("--sheet", type=Path, required=True, help="PNG of samples to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.diffusion import load_base
    from castex.errors import WeightsError
    from castex.files import read_json, write_json
    from castex.judge import load_judge
    from castex.maps import linear_to_srgb
    from castex.picture import write_picture
    from castex.prompt import load_text_encoder
    from castex.settings.models import EmbedSettings
    from castex.settings.samples import SampleSettings
    from castex.training.sample_yardstick import (
        FREE,
        HELD_OUT,
        SEEN,
        sample_yardstick,
        tiles,
        yardstick_prompts,
    )
    from castex.weights import verify

    judged = read_json(arguments.clip / "yardstick.json")
    judge = load_judge(arguments.clip)
    if judged["files"] != verify(arguments.clip).files:
        raise WeightsError(
            f"{arguments.clip}/yardstick.json measured another judge; run `measure_clip` again"
        )
    if not judged["passed"]:
        raise WeightsError(f"the judge in {arguments.clip} did not pass its own yardstick; train it longer")
    folder = verify(arguments.model)
    counts = [max(round(arguments.share * count), 1) for count in (SEEN, HELD_OUT, FREE)]
    texts = yardstick_prompts(*counts)
    images, record = sample_yardstick(
        load_base(arguments.model),
        load_text_encoder(folder, EmbedSettings()),
        judge,
        texts,
        SampleSettings.model_validate_json(arguments.settings),
        trained_on=read_json(arguments.model / "training.json")["settings"]["device"],
    )
    shown = images[: min(COLUMNS * ROWS + 2, counts[0])]
    write_picture(arguments.sheet, tiles(linear_to_srgb(shown), COLUMNS))
    write_json(arguments.output, {"files": folder.files, "judge": judge.identity, **record})
    for row in record["rows"]:
        print(f"{row['variant']:9} {row['metric']:18} {row['value']:.4f} of {row['count']}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_samples", *sys.argv[1:]]))
