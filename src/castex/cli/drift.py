"""How far an upsampling stage leaves its start, and what detail it finds, after each snapshot (Figure 3).

Writes a JSON file with drift and detail by step, and one view after each as safetensors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--light", type=Path, required=True, help="prefiltered light")
    parser.add_argument("--base", type=Path, required=True, help="maps with which the stage began")
    parser.add_argument("--result", type=Path, required=True, help="result.json of the stage")
    parser.add_argument("--dress", type=Path, required=True, help="JSON file: material and colour asked for")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--pictures", type=Path, required=True, help="safetensors file to write")


def run(arguments: argparse.Namespace) -> None:
    from safetensors.torch import save

    from castex.anchoring import measure
    from castex.cli._stage import MAPS, snapshot_file
    from castex.errors import InputError
    from castex.files import json_text, read_json, write_together
    from castex.light import read_light
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.settings.render import DressSettings
    from castex.settings.synthesis import StageSettings
    from castex.training.materials import material_maps, texel_points

    if arguments.output.parent != arguments.pictures.parent:
        raise InputError("--output and --pictures lie in two folders; write both to one")
    result, folder = read_json(arguments.result), arguments.result.parent
    stage = StageSettings.model_validate(result["settings"])
    if stage.kind != "upsampler":
        raise InputError(f"{arguments.result} is of a stage of kind {stage.kind!r}; drift is an upsampler's")
    dress = DressSettings.model_validate(read_json(arguments.dress))
    if dress.material is None or dress.colour is None:
        raise InputError(f"{arguments.dress} names no material to compare with")
    mesh = read_mesh(arguments.mesh)
    points = texel_points(mesh, dress.size)
    stages = {step: read_maps(folder / snapshot_file(step)) for step in stage.adam.snapshots}
    stages |= {0: read_maps(arguments.base), stage.adam.steps: read_maps(folder / MAPS)}
    base = stage.upsampling.low_resolution.base_size
    truth, other = (
        material_maps(points, dress.material, dress.colour, seed=dress.seed + k) for k in range(2)
    )
    found = measure(mesh, read_light(arguments.light), stages, truth, other, base=base, size=4 * base)
    record = {
        **{key: result[key] for key in ("asset", "seed", "prompt")},
        "source": stage.upsampling.source,
        "rows": found.rows,
        "controls": found.controls,
    }
    write_together(
        arguments.output.parent,
        {arguments.output.name: json_text(record).encode(), arguments.pictures.name: save(found.pictures)},
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["drift", *sys.argv[1:]]))
