"""Let a judge name what a textured mesh shows from eight unseen cameras; the grey mesh is the control."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--maps", type=Path, required=True, help="maps.safetensors")
    parser.add_argument("--light", type=Path, required=True, help="prefiltered light")
    parser.add_argument("--judge", type=Path, required=True, help="lock file or folder of a CLIP model")
    parser.add_argument("--prompt", required=True, help="what was asked for")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.files import write_json
    from castex.judge import load_judge
    from castex.light import read_light
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.recognise import recognised

    judge = load_judge(arguments.judge)
    mesh, maps = read_mesh(arguments.mesh), read_maps(arguments.maps)
    found = recognised(judge, mesh, maps, read_light(arguments.light), arguments.prompt)
    write_json(arguments.output, {"judge": judge.identity, **found})
    for row in found["rows"]:
        print(f"{row['variant']:8} {row['metric']:18} {row['value']:.3f}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["recognise", *sys.argv[1:]]))
