"""Numbers on a texture: likeness to prompt and material, energy across seams, light baked into the albedo.

Beside it stand, as controls, the same numbers of the grey object and of the material that was asked for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--maps", type=Path, required=True, help="maps.safetensors")
    parser.add_argument("--light", type=Path, required=True, help="prefiltered light")
    parser.add_argument("--judge", type=Path, required=True, help="lock file or folder of a CLIP model")
    parser.add_argument("--dress", type=Path, required=True, help="JSON file: material and colour asked for")
    parser.add_argument("--prompt", required=True, help="what was asked for")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")


def run(arguments: argparse.Namespace) -> None:
    from castex.appraise import appraised
    from castex.errors import InputError
    from castex.files import read_json, write_json
    from castex.judge import load_judge
    from castex.light import read_light
    from castex.maps import grey_maps
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.settings.render import DressSettings
    from castex.training.materials import material_maps, texel_points

    dress = DressSettings.model_validate(read_json(arguments.dress))
    if dress.material is None or dress.colour is None:
        raise InputError(f"{arguments.dress} names no material to compare with")
    judge, mesh, light = load_judge(arguments.judge), read_mesh(arguments.mesh), read_light(arguments.light)
    maps = read_maps(arguments.maps)
    points = texel_points(mesh, dress.size)
    truth, other = (
        material_maps(points, dress.material, dress.colour, seed=dress.seed + k) for k in range(2)
    )
    shown = {"ours": maps, "control": grey_maps(maps.albedo.shape[0]), "same_material": other}
    found = {
        variant: appraised(judge, mesh, light, worn, truth, arguments.prompt)
        for variant, worn in shown.items()
    }
    write_json(arguments.output, {"judge": judge.identity, "prompt": arguments.prompt, "scores": found})
    for name, value in found["ours"].items():
        print(f"{name:18} {value:.4f}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["appraise", *sys.argv[1:]]))
