"""Measure the mini Stable Diffusion on held-out renders: does the right prompt lower its error?

Writes yardstick.json and a sheet of pictures drawn from prompts (rows: materials; columns: colours).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of the held-out pictures")
    parser.add_argument("--count", type=int, default=96, help="held-out renders per variant")
    parser.add_argument("--output", type=Path, required=True, help="yardstick.json to write")
    parser.add_argument("--sheet", type=Path, required=True, help="PNG of the pictures to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.diffusion import load_stable_diffusion
    from castex.files import json_text, write_json
    from castex.maps import linear_to_srgb
    from castex.photograph import sheet
    from castex.picture import write_picture
    from castex.prompt import load_text_encoder
    from castex.settings.models import EmbedSettings
    from castex.training.captions import prompt
    from castex.training.corpus_data import read_corpus
    from castex.training.latent_yardstick import VARIANTS, drawn, shown, text_errors, text_verdict
    from castex.training.materials import COLOURS, MATERIALS
    from castex.training.upsampler_yardstick import chosen
    from castex.weights import locate

    folder = locate(arguments.model)
    score, encoder = load_stable_diffusion(arguments.model), load_text_encoder(folder, EmbedSettings())
    held = read_corpus(arguments.held_out, "both", layers=("image", "depth"))
    errors = {
        variant: text_errors(score, encoder, shown(held, chosen(held, variant, arguments.count)))
        for variant in VARIANTS
    }
    texts = [prompt(material, colour) for material in MATERIALS for colour in COLOURS]
    pictures = linear_to_srgb(drawn(score, encoder, texts))
    write_picture(arguments.sheet, sheet([picture[None] for picture in pictures], len(COLOURS)))
    found = text_verdict(errors)
    write_json(arguments.output, {"files": folder.files, "renders": held.identity, **found})
    print(json_text(found))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_latent", *sys.argv[1:]]))
