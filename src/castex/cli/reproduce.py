"""Make a textured GLB again from the record inside it, and compare: on a CPU the bytes are the same.

The mesh is the prepared one that `castex texture` left beside the GLB, or with --mesh the file that it was
made from. Settings are those of the record, whatever the configuration says now. The exit code is 2 when maps
differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from castex.cli._stage import StageFiles
    from castex.cli._texture_models import Models
    from castex.prepare import Prepared
    from castex.record import Record

WORKPLACE = "stages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="GLB", help="textured.glb of `castex texture`")
    parser.add_argument("--mesh", type=Path, help="the mesh that it was made from")
    parser.add_argument("--hdri", type=Path, metavar="FILE", help="the panorama, if one was given")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder (the GLB's folder's name with _again)"
    )
    parser.add_argument("--base-model", type=Path, metavar="DIR", help="the model of stage I")
    parser.add_argument("--upsampler", type=Path, metavar="DIR", help="the model of stage II")
    parser.add_argument("--text-model", type=Path, metavar="DIR", help="model with the text encoder")
    parser.add_argument(
        "--time-limit", type=float, default=60.0, metavar="SECONDS", help="for xatlas (default 60)"
    )
    parser.add_argument("--cache", type=Path, help="folder for prefiltered lights (~/.cache/castex)")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from castex.cli import _texture
    from castex.cli._stage import check_device, versions
    from castex.cli._texture_models import found_models
    from castex.config import load_config
    from castex.errors import InputError
    from castex.record import changed_versions, read_record
    from castex.settings.synthesis import METHODS, cascade_of

    record = read_record(arguments.file)
    if record.method not in METHODS:
        raise InputError(f"the method {record.method!r} of the record is none of {', '.join(METHODS)}")
    now = cascade_of(load_config(record.scale).variants, record.method, keep_uv=True)
    settings, typed = record.settings(now), _as_typed(arguments, record)
    check_device(
        settings.base.execution.device, remedy="it was made on a GPU, and can be made again only there"
    )
    models = found_models(typed, settings)
    _check_models(record, models)
    _check_panorama(arguments.hdri, record)
    for change in changed_versions(record, versions()):
        print(f"made with {change}", file=sys.stderr)
    made = _mesh(arguments, typed, record)
    _check_output(typed.output)
    torch.set_num_threads(record.threads)
    _texture.make(
        typed, settings, models, made, record.mesh.sha256,
        check=lambda name, files: _check(record, name, files),
    )  # fmt: skip
    _compare(arguments.file, typed.output, record)


def _as_typed(arguments: argparse.Namespace, record: Record) -> argparse.Namespace:
    """The command line of `castex texture` that the record stands for."""
    from castex.errors import InputError
    from castex.synthesise import checked_prompt

    mesh, light = record.mesh, record.light
    folder = arguments.file.resolve().parent
    output = arguments.output or Path(f"{folder.name}_again")
    if output.resolve() == folder:
        raise InputError(f"{output} holds the file that is to be compared with; choose another --output")
    return argparse.Namespace(
        **{**vars(arguments), "output": output},
        prompt=checked_prompt(record.prompt),
        scale=record.scale,
        method=record.method,
        seed=record.seed,
        front=mesh.front,
        up=mesh.up,
        rewrap=mesh.rewrap,
        light=light.name,
        intensity=light.intensity,
        initial=record.stages["base"].settings.texture.initial,
    )


def _check_output(output: Path) -> None:
    """InputError for a folder with a result: what is finished there would be compared without being made."""
    from castex.cli._stage import RESULT, versions
    from castex.errors import InputError
    from castex.files import read_json

    done = list((output / WORKPLACE).glob(f"*/{RESULT}"))
    if (output / "provenance.json").exists() or any(read_json(p)["versions"] != versions() for p in done):
        raise InputError(f"{output} holds an earlier result; delete it or choose another --output")


def _check(record: Record, name: str, files: StageFiles) -> None:
    """InputError, before a stage begins, when it would be made from something else."""
    from castex.errors import InputError
    from castex.record import changed_inputs

    if other := changed_inputs(record, name, files.identity()):
        raise InputError(
            f"stage {name} would begin with something else than the record names: {', '.join(other)}; see "
            "--mesh, --hdri, --text-model, --base-model and --upsampler"
        )


def _check_models(record: Record, models: Models) -> None:
    """InputError for a model that is not the record's."""
    from castex.cli._stage import NETWORKS, recorded
    from castex.errors import InputError

    for name, made in record.stages.items():
        path: Path = getattr(models, name)
        if recorded(path).identity(*NETWORKS) != made.identity.model.identity:
            option = "--base-model" if name == "base" else "--upsampler"
            raise InputError(
                f"the model of stage {name} at {path} is not the one of the record "
                f"({made.identity.model.identity[:16]}); give that one's folder with {option}"
            )


def _check_panorama(hdri: Path | None, record: Record) -> None:
    """InputError for a panorama that is missing, of other bytes, or too many."""
    from castex.errors import InputError
    from castex.files import sha256

    wanted = record.light.hdri_sha256
    if wanted != (None if hdri is None else sha256(hdri)):
        mend = "leave out --hdri" if wanted is None else f"give the one with sha256 {wanted} with --hdri"
        raise InputError(f"the panorama is not that of the record; {mend}")


def _mesh(arguments: argparse.Namespace, typed: argparse.Namespace, record: Record) -> Prepared:
    """The prepared mesh; InputError where it cannot be had."""
    from castex.cli._mesh import opened
    from castex.errors import InputError
    from castex.files import sha256

    if arguments.mesh is None:
        return _left_behind(arguments.file, record)
    source = arguments.mesh / "mesh.safetensors" if arguments.mesh.is_dir() else arguments.mesh
    if not source.is_file() or sha256(source) != record.mesh.sha256:
        raise InputError(f"{source} is not the mesh of the record, whose sha256 is {record.mesh.sha256}")
    return opened(typed, record.stages["base"].settings.texture.size)


def _left_behind(file: Path, record: Record) -> Prepared:
    """What `castex texture` left beside the GLB."""
    import dataclasses

    from castex.errors import InputError
    from castex.files import sha256
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.prepare import Prepared
    from castex.scene import Attribution

    folder = file.parent / WORKPLACE
    path, start = folder / "mesh.safetensors", folder / "start.safetensors"
    if not path.is_file() or sha256(path) != record.stages["base"].identity.mesh_sha256:
        raise InputError(
            f"the prepared mesh of {file} is not at {path}; give the mesh that it was made from with --mesh"
        )
    if record.stages["base"].settings.texture.initial == "given" and not start.is_file():
        raise InputError(f"the maps that {file} began with are not at {start}; give its mesh with --mesh")
    known = {field.name for field in dataclasses.fields(Attribution)}
    credit = {name: value for name, value in record.mesh.attribution.items() if name in known}
    return Prepared(
        mesh=read_mesh(path),
        maps=read_maps(start) if start.is_file() else None,
        report={"method": record.mesh.method},
        attribution=Attribution(**credit),
    )


def _compare(file: Path, output: Path, record: Record) -> None:
    """Say what is the same; InputError, naming the likely cause, when maps differ."""
    from castex.cli._stage import versions
    from castex.errors import InputError
    from castex.files import sha256
    from castex.record import changed_versions, differing, read_record

    other = differing(record, read_record(output / "provenance.json"))
    for name in record.stages:
        print(f"{name}: {'other maps' if name in other else 'the same maps, byte for byte'}")
    if other:
        on_gpu = any(made.settings.execution.device == "cuda" for made in record.stages.values())
        guess = "sums on a GPU have no fixed order" if on_gpu else "another kind of processor, perhaps"
        cause = "; ".join(changed_versions(record, versions())) or guess
        raise InputError(
            f"the maps of {' and '.join(other)} differ from those of {file} ({cause}); the new ones are in "
            f"{output}"
        )
    if file.suffix.lower() == ".glb":
        same = sha256(file) == sha256(output / "textured.glb")
        print(f"textured.glb: {'the same file, byte for byte' if same else 'the same maps, another record'}")


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["reproduce", *sys.argv[1:]]))
