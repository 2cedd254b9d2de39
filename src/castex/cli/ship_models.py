"""Check the yardstick of a trained model and, if it holds, copy the model to the folder that is shipped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

JUDGE = "astronaut"
FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vae", type=Path, required=True, help="trained model folder with its yardstick")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder to ship, for example data/mini/vae"
    )


def run(arguments: argparse.Namespace) -> None:
    import csv

    from castex.errors import WeightsError
    from castex.files import copy, read_json, write_text
    from castex.training.card import vae_card
    from castex.training.yardstick import MARGIN_DB
    from castex.weights import verify, write_sums

    source = arguments.vae
    files = verify(source).files
    yardstick, training = read_json(source / "yardstick.json"), read_json(source / "training.json")
    if yardstick["files"] != files:
        raise WeightsError(f"{source}/yardstick.json measured other weights; run `measure_vae` again")
    margin = yardstick["psnr_db"][JUDGE]["margin"]
    if margin < MARGIN_DB:
        raise WeightsError(
            f"{source} is not shipped: its margin over the block code on {JUDGE} is {margin:.2f} dB, "
            f"below {MARGIN_DB} dB; train longer or change `train_vae`"
        )
    with (source / "loss.csv").open(encoding="utf-8") as stream:
        losses = [float(row["mse"]) for row in csv.DictReader(stream)]
    for name in (*FILES, "yardstick.json", "training.json", "loss.csv", "samples.png"):
        copy(source / name, arguments.output / name)
    write_text(arguments.output / "README.md", vae_card(training, yardstick, losses))
    write_sums(arguments.output, list(FILES))
    print(f"shipped {arguments.output}: {margin:.2f} dB above the block code on {JUDGE}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["ship_models", *sys.argv[1:]]))
