"""Measure the latent models' autoencoder: photographs and renders it never saw, beside its start.

Its rival is the best linear block code of its size, fitted to the autoencoder's own training photographs for
the photographs, and to its own training renders for the renders. Writes yardstick.json and a sheet of renders
(rows: target, the autoencoder that was continued, this one, block code).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vae", type=Path, required=True, help="model folder")
    parser.add_argument("--start", type=Path, required=True, help="folder of the autoencoder it started from")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of its training pictures")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of the held-out pictures")
    parser.add_argument("--count", type=int, default=64, help="held-out renders per variant")
    parser.add_argument("--size", type=int, default=128, help="side of the photographs in pixels")
    parser.add_argument("--output", type=Path, required=True, help="yardstick.json to write")
    parser.add_argument("--sheet", type=Path, required=True, help="PNG of the pictures to write")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from castex.diffusion import load_codec
    from castex.files import json_text, write_json
    from castex.maps import linear_to_srgb
    from castex.picture import bundled_picture, square, write_picture
    from castex.training.corpus_data import read_corpus
    from castex.training.latent_yardstick import VARIANTS
    from castex.training.pictures import HELD_OUT, PHOTOGRAPHS, photograph
    from castex.training.upsampler_yardstick import chosen
    from castex.training.yardstick import MARGIN_DB, compare, fit_block_code

    codec, start = load_codec(arguments.vae), load_codec(arguments.start)
    training = [square(photograph(name)[None], arguments.size) for name in PHOTOGRAPHS]
    corpus = read_corpus(arguments.corpus, "models")
    rows = torch.arange(0, len(corpus), max(len(corpus) // 500, 1))
    known = [corpus.layers["image"][k][None].float() / 255 for k in rows]
    held = read_corpus(arguments.held_out, "both")
    renders = {
        variant: held.layers["image"][chosen(held, variant, arguments.count)].float() / 255
        for variant in VARIANTS
    }
    photographs = {name: square(bundled_picture(name), arguments.size) for name in HELD_OUT}
    of_photographs, of_renders = (fit_block_code(p, codec.channels) for p in (training, known))
    scores, before = (
        compare(model, of_photographs, photographs) | compare(model, of_renders, renders)
        for model in (codec, start)
    )
    with torch.no_grad():
        few = renders["seen"][:: max(len(renders["seen"]) // 8, 1)][:8]
        shown = [few, *(m.decode(m.encode(few)) for m in (start, codec)), of_renders.round_trip(few)]
    tiles = torch.cat([torch.cat(list(row), dim=2) for row in shown], dim=1)
    write_picture(arguments.sheet, linear_to_srgb(tiles[None]))
    found = {
        "size": arguments.size,
        "components": codec.channels,
        "files": codec.files,
        "renders": held.identity,
        "required_margin_db": MARGIN_DB,
        "psnr_db": scores,
        "start_psnr_db": {name: score["autoencoder"] for name, score in before.items()},
        "passed": all(scores[name]["margin"] >= MARGIN_DB for name in ("astronaut", *VARIANTS)),
    }
    write_json(arguments.output, found)
    print(json_text({name: found[name] for name in ("psnr_db", "start_psnr_db", "passed")}))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_sd_vae", *sys.argv[1:]]))
