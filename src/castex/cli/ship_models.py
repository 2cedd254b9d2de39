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
    import json

    from castex.errors import WeightsError
    from castex.files import copy, write_text
    from castex.training.card import vae_card
    from castex.weights import check, read_sums, write_sums

    source = arguments.vae
    check(source, read_sums(source))
    yardstick = json.loads((source / "yardstick.json").read_text(encoding="utf-8"))
    margin, required = yardstick["psnr_db"][JUDGE]["margin"], yardstick["required_margin_db"]
    if margin < required:
        raise WeightsError(
            f"{source} is not shipped: its margin over the block code on {JUDGE} is {margin:.2f} dB, "
            f"below {required} dB; train longer or change `train_vae`"
        )
    training = json.loads((source / "training.json").read_text(encoding="utf-8"))
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
