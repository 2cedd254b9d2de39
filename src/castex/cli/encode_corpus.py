"""Encode the training pictures with an autoencoder, once for all trainings of latent models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", type=Path, required=True, help="folder that the rule corpus wrote")
    parser.add_argument("--vae", type=Path, required=True, help="folder of the autoencoder")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it runs")
    parser.add_argument("--output", type=Path, required=True, help="folder for the codes")


def run(arguments: argparse.Namespace) -> None:
    from castex.training.corpus_data import read_corpus
    from castex.training.latent_codes import encode_corpus
    from castex.weights import locate

    pictures = read_corpus(arguments.corpus, "models")
    encode_corpus(pictures, locate(arguments.vae), arguments.output, device=arguments.device)
    print(f"{len(pictures)} codes in {arguments.output}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["encode_corpus", *sys.argv[1:]]))
