"""One stage of texture synthesis: resolved settings, a prepared mesh and a model in, four maps out.

Writes maps.safetensors, trace.csv, preview.png, result.json and the snapshots that the settings name. An
upsampling stage takes the maps of the stage before with --base; a run that was killed continues where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="JSON file: the settings of the stage")
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--light", type=Path, required=True, help="prefiltered light")
    parser.add_argument("--embeddings", type=Path, required=True, help="what `castex embed` wrote")
    parser.add_argument("--model", type=Path, required=True, help="lock file of `fetch`, or a model folder")
    parser.add_argument(
        "--text-model", type=Path, metavar="LOCK", help="lock file of the model that should have embedded"
    )
    parser.add_argument("--base", type=Path, metavar="MAPS", help="maps.safetensors to begin with")
    parser.add_argument("--prompt", required=True, help="one of the embedded prompts")
    parser.add_argument("--asset", required=True, help="name of the mesh, for the random streams")
    parser.add_argument("--seed", type=int, default=0, help="seed of shots and noise (0)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")


def run(arguments: argparse.Namespace) -> None:
    from castex.cli._stage import StageFiles, run_stage
    from castex.files import read_json
    from castex.prompt import read_embeddings
    from castex.settings.synthesis import StageSettings
    from castex.synthesise import checked_prompt

    checked_prompt(arguments.prompt)
    if arguments.text_model is not None:
        read_embeddings(arguments.embeddings, arguments.text_model)
    files = StageFiles(
        settings=StageSettings.model_validate(read_json(arguments.settings)),
        mesh=arguments.mesh,
        light=arguments.light,
        embeddings=arguments.embeddings,
        model=arguments.model,
        prompt=arguments.prompt,
        asset=arguments.asset,
        seed=arguments.seed,
        base=arguments.base,
    )
    run_stage(files, arguments.output)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["synthesise", *sys.argv[1:]]))
