"""Prefilter a panorama, generated or from a file, into the environment light that the renderer looks up."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with the light's settings")
    parser.add_argument("--lock", type=Path, help="lock file of the panorama, for a light from a file")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.errors import InputError
    from castex.files import read_json
    from castex.light import prefiltered, write_light
    from castex.panorama import generated_panorama, read_panorama
    from castex.settings.assets import LightSettings

    settings = LightSettings.model_validate(read_json(arguments.settings))
    if settings.generated is not None:
        panorama = generated_panorama(settings.generated)
    elif arguments.lock is not None:
        panorama = read_panorama(Path(read_json(arguments.lock)["path"]))
    else:
        raise InputError(f"the light of {arguments.settings} comes from a file; give its --lock")
    light = prefiltered(panorama, settings.side).scaled(settings.intensity)
    write_light(arguments.output, light)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["prefilter", *sys.argv[1:]]))
