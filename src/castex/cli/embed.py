"""Embed prompts, with and without view words, with the text encoder of one model.

A process of its own: the text encoder never shares memory with the networks that read what it wrote.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="lock file of `fetch`, or a model folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--texts", type=Path, help='JSON file: {"texts": ["a vase"], "views": true}')
    source.add_argument("--prompt", help="one prompt, with its view words")
    parser.add_argument("--settings", default="{}", metavar="JSON", help="how the text encoder is run")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from castex.diffusion import resolved_precision
    from castex.files import read_json
    from castex.prompt import load_text_encoder, texts_of, write_embeddings
    from castex.settings import EmbedSettings, PromptSettings
    from castex.weights import locate

    settings = EmbedSettings.model_validate_json(arguments.settings)
    given = read_json(arguments.texts) if arguments.texts else {"texts": [arguments.prompt]}
    texts = texts_of(PromptSettings.model_validate(given))
    encoder = load_text_encoder(locate(arguments.model), settings)
    for text in texts:
        if lost := encoder.lost(text):
            print(f"the last {lost} tokens of {text[:60]!r}… are beyond what it reads", file=sys.stderr)
    # What was computed in 16 bits is kept in 16.
    dtype = torch.float32 if resolved_precision(settings) == torch.float32 else torch.float16
    write_embeddings(arguments.output, encoder.embed(texts, dtype=dtype))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["embed", *sys.argv[1:]]))
