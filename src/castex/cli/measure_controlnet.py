"""Measure the mini depth ControlNet on held-out renders: does the right depth help, and is it followed?

Writes yardstick.json and a sheet (columns: depth, render, a picture drawn from both depth and prompt).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the ControlNet")
    parser.add_argument("--sd", type=Path, required=True, help="folder of the mini Stable Diffusion")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of the held-out pictures")
    parser.add_argument("--count", type=int, default=96, help="held-out renders")
    parser.add_argument("--drawn", type=int, default=48, help="pictures whose outlines are compared")
    parser.add_argument("--output", type=Path, required=True, help="yardstick.json to write")
    parser.add_argument("--sheet", type=Path, required=True, help="PNG of the pictures to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.diffusion import load_depth_controlnet, load_stable_diffusion
    from castex.files import json_text, write_json
    from castex.maps import linear_to_srgb
    from castex.photograph import sheet
    from castex.picture import write_picture
    from castex.prompt import load_text_encoder
    from castex.settings.models import EmbedSettings
    from castex.training import latent_yardstick as yardstick
    from castex.training.corpus_data import read_corpus
    from castex.training.upsampler_yardstick import chosen
    from castex.weights import locate, verify

    files, base = verify(arguments.model).files, locate(arguments.sd)
    control = load_depth_controlnet(arguments.model, load_stable_diffusion(arguments.sd))
    encoder = load_text_encoder(base, EmbedSettings())
    held = read_corpus(arguments.held_out, "both", layers=("image", "depth"))
    errors = yardstick.depth_errors(
        control, encoder, yardstick.shown(held, chosen(held, "seen", arguments.count))
    )
    shown = yardstick.shown(held, chosen(held, "seen", arguments.drawn))
    pictures = yardstick.drawn(control, encoder, shown.texts, shown.depths)
    found = yardstick.depth_verdict(errors, yardstick.outline_overlaps(pictures, shown))
    step = max(len(shown) // 24, 1)
    cells = [
        cell[k][None]
        for k in range(0, len(shown), step)
        for cell in (shown.depths, linear_to_srgb(shown.images), linear_to_srgb(pictures))
    ]
    write_picture(arguments.sheet, sheet(cells, 12))
    told = {"files": files, "sd": base.files, "renders": held.identity}
    write_json(arguments.output, told | found)
    print(json_text(found))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_controlnet", *sys.argv[1:]]))
