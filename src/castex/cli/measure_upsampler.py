"""Measure a stage II against bicubic enlargement on held-out renders, with a shuffled condition as control.

Writes yardstick.json and a sheet: columns target, bicubic, stage II.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of the held-out pictures")
    parser.add_argument("--count", type=int, default=48, help="pictures per variant")
    parser.add_argument("--base", type=int, default=32, help="side of the reduced pictures in pixels")
    parser.add_argument("--output", type=Path, required=True, help="yardstick.json to write")
    parser.add_argument("--sheet", type=Path, required=True, help="sample sheet to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.diffusion import load_upsampler
    from castex.files import atomic_path, json_text, write_json
    from castex.maps import linear_to_srgb
    from castex.photograph import sheet
    from castex.picture import png_bytes
    from castex.prompt import load_text_encoder
    from castex.settings.models import EmbedSettings, LowResolutionSettings
    from castex.training.corpus_data import read_corpus
    from castex.training.upsampler_yardstick import FORMS, chosen, compared, enlarged
    from castex.weights import locate

    folder = locate(arguments.model)
    model = load_upsampler(arguments.model)
    encoder = load_text_encoder(folder, EmbedSettings())
    pictures = read_corpus(arguments.pictures, "both")
    results = {}
    for variant, (form, level) in FORMS.items():
        low = LowResolutionSettings(base_size=arguments.base, form=form, level=level)
        index = chosen(pictures, variant, arguments.count)
        results[variant] = enlarged(model, encoder, pictures, index, low)
    found = compared(results)
    shown = results["seen"]
    cells = [
        linear_to_srgb(picture[k][None])
        for k in range(0, len(shown.target), max(len(shown.target) // 16, 1))
        for picture in (shown.target, shown.bicubic, shown.ours)
    ]
    with atomic_path(arguments.sheet) as partial:
        partial.write_bytes(png_bytes(sheet(cells, 12)))
    write_json(arguments.output, {"files": folder.files, "corpus": pictures.identity, **found})
    print(json_text(found["psnr_db"]))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_upsampler", *sys.argv[1:]]))
