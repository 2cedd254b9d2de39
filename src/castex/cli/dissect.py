"""One step of a finished stage, opened up: the pictures between the maps and the gradient (Figure 1).

Takes what `castex synthesise` took and the maps it made, and writes the pictures as safetensors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--result", type=Path, required=True, help="result.json of `castex synthesise`")
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--light", type=Path, required=True, help="prefiltered light")
    parser.add_argument("--embeddings", type=Path, required=True, help="what `castex embed` wrote")
    parser.add_argument("--model", type=Path, required=True, help="lock file of `fetch`, or a model folder")
    parser.add_argument("--base", type=Path, metavar="MAPS", help="maps with which the stage began")
    parser.add_argument("--timestep", type=int, default=600, help="of the step, 0 to 999 (600)")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")


def run(arguments: argparse.Namespace) -> None:
    from safetensors.torch import save

    from castex.cascade import stage_guidance
    from castex.cli._stage import MAPS, check_device, load_model
    from castex.dissect import dissected
    from castex.files import atomic_path, read_json
    from castex.light import read_light
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.prompt import read_embeddings
    from castex.render import MeshRenderer
    from castex.rng import generator
    from castex.settings.synthesis import StageSettings
    from castex.synthesise import OneLook, Task, start_maps

    result = read_json(arguments.result)
    settings, prompt = StageSettings.model_validate(result["settings"]), result["prompt"]
    device = settings.execution.device
    check_device(device, remedy="the pictures of such a stage are made on a machine that has one")
    mesh, light = read_mesh(arguments.mesh).to(device), read_light(arguments.light).to(device)
    given = None if arguments.base is None else read_maps(arguments.base)
    start = start_maps(Task(mesh, light, settings, result["seed"], result["asset"], given=given)).to(device)
    model, embeddings = load_model(arguments.model, settings), read_embeddings(arguments.embeddings)
    found = dissected(
        read_maps(arguments.result.parent / MAPS).to(device),
        start,
        settings,
        OneLook(MeshRenderer(mesh, light, settings.render_size)),
        lambda render, first, memory: stage_guidance(
            model, settings, prompt, embeddings, render=render, start=first, memory=memory
        ),
        timestep=arguments.timestep,
        stream=generator(result["seed"], result["asset"], "dissect"),
    )
    with atomic_path(arguments.output) as partial:
        partial.write_bytes(save(found))


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["dissect", *sys.argv[1:]]))
