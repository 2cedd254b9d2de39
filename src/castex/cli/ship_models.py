"""Check what was made and, if it holds, copy it to the folder that is shipped.

A model must reach its yardstick; the meshes must be whole, and made by the code of this checkout.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

JUDGE = "astronaut"
FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--vae", type=Path, help="trained model folder with its yardstick")
    source.add_argument("--model", type=Path, help="trained folder of the mini family with its yardstick")
    source.add_argument("--meshes", type=Path, help="folder that the rule make_meshes wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder to ship into, under data/mini")
    parser.add_argument(
        "--sheet",
        type=Path,
        default=Path("data/assets.tsv"),
        help="asset sheet that states the meshes' hashes",
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.vae is not None:
        _ship_vae(arguments.vae, arguments.output)
    elif arguments.model is not None:
        _ship_model(arguments.model, arguments.output)
    else:
        _ship_meshes(arguments.meshes, arguments.output, arguments.sheet)


def _ship_meshes(source: Path, output: Path, sheet: Path) -> None:
    from castex.assets import read_sheet, record_files
    from castex.errors import WeightsError
    from castex.files import copy
    from castex.training.shapes import NAMES, build
    from castex.training.shapes.glb import glb_bytes
    from castex.weights import SUMS, verify

    read_sheet(sheet)
    found = set(verify(source).files)
    wanted = {f"{name}.glb" for name in NAMES}
    if found != wanted:
        odd = sorted(found ^ wanted)[0]
        raise WeightsError(f"{source} does not hold the {len(wanted)} mini meshes ({odd}); make them again")
    for name in NAMES:
        if (source / f"{name}.glb").read_bytes() != glb_bytes(build(name)):
            raise WeightsError(f"{source}/{name}.glb was made by other code; run `make_meshes` again")
    for name in (*sorted(wanted), SUMS):
        copy(source / name, output / name)
    changed = record_files(sheet, output)
    news = f"new hashes of {', '.join(changed)}" if changed else "the same hashes as before"
    print(f"shipped {len(wanted)} meshes to {output}; {news} in {sheet}")


def _ship_model(source: Path, output: Path) -> None:
    from castex.training.family import ship

    ship(source, output)
    size = sum(path.stat().st_size for path in output.rglob("*.safetensors"))
    print(f"shipped {output}: {size / 1e6:.2f} MB of weights")


def _ship_vae(source: Path, output: Path) -> None:
    import csv

    from castex.errors import WeightsError
    from castex.files import copy, read_json, write_text
    from castex.training.card import vae_card
    from castex.training.yardstick import MARGIN_DB
    from castex.weights import verify, write_sums

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
        copy(source / name, output / name)
    write_text(output / "README.md", vae_card(training, yardstick, losses))
    write_sums(output, list(FILES))
    print(f"shipped {output}: {margin:.2f} dB above the block code on {JUDGE}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["ship_models", *sys.argv[1:]]))
