"""Measure an autoencoder on photographs it never saw, against the best linear block code of its size.

Writes yardstick.json and a sheet of pictures (target, autoencoder, block code) on the held-out photographs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vae", type=Path, required=True, help="model folder")
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels")
    parser.add_argument("--output", type=Path, required=True, help="yardstick.json to write")
    parser.add_argument("--sheet", type=Path, required=True, help="PNG of the pictures to write")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from castex.diffusion import load_codec
    from castex.files import write_json
    from castex.picture import bundled_picture, square, write_picture
    from castex.training.pictures import HELD_OUT, PHOTOGRAPHS, photograph
    from castex.training.yardstick import MARGIN_DB, compare, fit_block_code

    codec = load_codec(arguments.vae)
    training = [square(photograph(name)[None], arguments.size) for name in PHOTOGRAPHS]
    code = fit_block_code(training, codec.channels)
    held_out = {name: square(bundled_picture(name), arguments.size) for name in HELD_OUT}
    with torch.no_grad():
        sheet = [torch.cat([x, codec.decode(codec.encode(x)), code.round_trip(x)]) for x in held_out.values()]
    tiles = torch.stack(sheet).permute(2, 0, 3, 1, 4).reshape(3, len(sheet) * arguments.size, -1)
    write_picture(arguments.sheet, tiles[None])
    write_json(
        arguments.output,
        {
            "size": arguments.size,
            "components": codec.channels,
            "files": codec.files,
            "required_margin_db": MARGIN_DB,
            "psnr_db": compare(codec, code, held_out),
        },
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_vae", *sys.argv[1:]]))
