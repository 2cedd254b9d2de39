"""Texture a mesh from a prompt: a GLB that Blender shows right, the maps, a turntable, and how it was made.

Writes textured.glb, maps/*.png, preview.png, turntable.gif and provenance.json, and what the stages left
under stages/. The same command continues a run that was killed. Prompts are bare descriptions, as in
`castex texture vase.glb "a red brick vase"`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from castex.cli._mesh import add_axes
from castex.settings.synthesis import DEFAULT_METHOD, METHODS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "mesh", type=Path, metavar="MESH", help="glb, gltf, obj, ply or stl; or a folder of `castex prepare`"
    )
    parser.add_argument("prompt", metavar="PROMPT", help="what it should look like")
    parser.add_argument(
        "--scale", choices=("mini", "paper"), default="mini", help="models and settings (mini)"
    )
    parser.add_argument(
        "--method",
        choices=("castex", *METHODS),
        default=DEFAULT_METHOD,
        metavar="METHOD",
        help=f"{', '.join(METHODS)}; `castex` is short for the default, {DEFAULT_METHOD}",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of shots and noise (0)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder (the mesh's name, here)")
    parser.add_argument("--steps", type=int, nargs="+", metavar="N", help="optimiser steps of each stage")
    parser.add_argument("--guidance-scale", type=float, nargs="+", metavar="S", help="of each stage")
    parser.add_argument(
        "--initial", choices=("grey", "random", "given"), default="grey",
        help="maps to begin with; `given`: the mesh's own materials (grey)",
    )  # fmt: skip
    parser.add_argument("--size", type=int, help="side of the maps in texels")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to run")
    add_axes(parser)
    parser.add_argument("--rewrap", action="store_true", help="make a new atlas even if the file has one")
    parser.add_argument(
        "--time-limit", type=float, default=60.0, metavar="SECONDS", help="for xatlas (default 60)"
    )
    parser.add_argument("--hdri", type=Path, metavar="FILE", help=".hdr or .exr panorama")
    parser.add_argument("--light", help="studio, sky or sunset (default: the scale's)")
    parser.add_argument("--intensity", type=float, help="factor on the light")
    parser.add_argument("--base-model", type=Path, metavar="DIR", help="another model for stage I")
    parser.add_argument("--upsampler", type=Path, metavar="DIR", help="another model for stage II")
    parser.add_argument(
        "--text-model", type=Path, metavar="DIR", help="model with the text encoder (default: the models')"
    )
    parser.add_argument("--cache", type=Path, help="folder for prefiltered lights (~/.cache/castex)")


def run(arguments: argparse.Namespace) -> None:
    from castex.cli import _texture

    _texture.run(arguments)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["texture", *sys.argv[1:]]))
