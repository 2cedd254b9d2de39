"""The stations of `castex texture`: prepare, embed, base stage, upsampling stage, export."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from castex.cli._mesh import opened
from castex.cli._stage import MAPS, RESULT, StageFiles, check_device, recorded, run_stage
from castex.cli._texture_models import Models, found_models
from castex.errors import InputError
from castex.settings.synthesis import DEFAULT_METHOD, CascadeSettings, StageSettings, cascade_of

if TYPE_CHECKING:
    from castex.light import EnvironmentLight
    from castex.maps import TextureMaps
    from castex.prepare import Prepared

GENERATED = ("studio", "sky", "sunset")
GENERATED_SIDE, PANORAMA_SIDE = 128, 512
FRAMES, FRAME_SIZE = 36, 256
SHOWN = 60
BRIGHTEST = 1e6


def run(arguments: argparse.Namespace) -> None:
    """What the command line asks for."""
    from castex.files import sha256
    from castex.synthesise import checked_prompt

    arguments.prompt = checked_prompt(arguments.prompt)
    settings = resolved(arguments)
    check_device(settings.base.execution.device)
    models = found_models(arguments, settings)
    arguments.output = arguments.output or Path(_stem(arguments.mesh))
    arguments.rewrap = not settings.keep_uv
    made = opened(arguments, settings.base.texture.size)
    source = arguments.mesh / "mesh.safetensors" if arguments.mesh.is_dir() else arguments.mesh
    make(arguments, settings, models, made, sha256(source))


def make(
    arguments: argparse.Namespace,
    settings: CascadeSettings,
    models: Models,
    made: Prepared,
    mesh_sha256: str,
    check: Callable[[str, StageFiles], None] | None = None,
) -> None:
    """All stations after `prepare`; what is done already is not done again.

    `mesh_sha256` is that of the file that `made` was prepared from. `check` is called with the name and the
    files of each stage before it begins.
    """
    from castex.mesh import write_mesh

    prompt, output = arguments.prompt, arguments.output
    stages = output / "stages"
    write_mesh(stages / "mesh.safetensors", made.mesh)
    start = _start(arguments, made, stages)
    light = _light(arguments, settings, stages)
    files: dict[str, StageFiles] = {}
    for name, stage, model in _stages(settings, models):
        files[name] = StageFiles(
            settings=stage,
            mesh=stages / "mesh.safetensors",
            light=stages / "light.safetensors",
            embeddings=_embed(models.text[name], stage, prompt, stages / name),
            model=model,
            prompt=prompt,
            asset=mesh_sha256[:16],
            seed=arguments.seed,
            base=stages / "base" / MAPS if name == "upsampler" else start,
        )
        if check is not None:
            check(name, files[name])
        if files[name].is_done(stages / name):
            print(f"{name}: done before", file=sys.stderr)
        else:
            run_stage(files[name], stages / name)
    provenance = _provenance(arguments, prompt, mesh_sha256, made, files, stages)
    provenance["light"] = _light_name(arguments, settings)
    _export(output, made, stages / list(files)[-1] / MAPS, light, provenance)


def resolved(arguments: argparse.Namespace) -> CascadeSettings:
    """The method at its scale with what the command line overrides; InputError where it cannot be."""
    from castex.config import load_config

    method = DEFAULT_METHOD if arguments.method == "castex" else arguments.method
    config = load_config(arguments.scale)
    settings = cascade_of(config.variants, method, keep_uv=config.assets.prepare.keep_uv)
    names = ["base"] if settings.upsampler is None else ["base", "upsampler"]
    values = settings.model_dump()
    for option, section, key in (
        ("steps", "adam", "steps"),
        ("guidance_scale", "distil", "guidance_scale"),
    ):
        given = getattr(arguments, option) or []
        if len(given) > len(names):
            flag = option.replace("_", "-")
            raise InputError(f"--{flag} has {len(given)} numbers; {method} has {len(names)} stages")
        for name, value in zip(names, given, strict=False):
            values[name][section][key] = value
    values["base"]["texture"]["initial"] = arguments.initial
    for name in names:
        if arguments.size is not None:
            values[name]["texture"]["size"] = arguments.size
        if arguments.device is not None:
            values[name]["execution"]["device"] = arguments.device
    values["keep_uv"] = values["keep_uv"] and not arguments.rewrap
    return CascadeSettings.model_validate(values)


def _stages(settings: CascadeSettings, models: Models) -> list[tuple[str, StageSettings, Path]]:
    stages = [("base", settings.base, models.base)]
    if settings.upsampler is not None and models.upsampler is not None:
        stages.append(("upsampler", settings.upsampler, models.upsampler))
    return stages


def _stem(mesh: Path) -> str:
    """A folder's name out of the mesh's."""
    return (re.sub(r"[^\w.-]+", "_", mesh.resolve().stem).strip("._") or "mesh") + "_textured"


def _start(arguments: argparse.Namespace, made: Prepared, stages: Path) -> Path | None:
    """The mesh's own materials as a file, where the base stage is to begin with them."""
    from castex.maps_file import write_maps

    if arguments.initial != "given":
        return None
    if made.maps is None:
        raise InputError(f"{arguments.mesh} has no materials to begin with; leave out `--initial given`")
    write_maps(stages / "start.safetensors", made.maps)
    return stages / "start.safetensors"


def _light(arguments: argparse.Namespace, settings: CascadeSettings, stages: Path) -> EnvironmentLight:
    import os

    from castex.light import cached_light, write_light
    from castex.panorama import generated_panorama, read_panorama

    name, intensity = arguments.light or settings.light, arguments.intensity
    if intensity is not None and not 0 <= intensity <= BRIGHTEST:
        raise InputError(f"--intensity is {intensity:g}; choose between 0 and {BRIGHTEST:g}")
    if arguments.hdri is not None:
        panorama, side = read_panorama(arguments.hdri), PANORAMA_SIDE
    elif name in GENERATED:
        panorama, side = generated_panorama(name), GENERATED_SIDE
    else:
        path, own = _configured_light(arguments, name)
        panorama, side = read_panorama(path), PANORAMA_SIDE
        intensity = own if intensity is None else intensity
    folder = arguments.cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "castex"
    light = cached_light(panorama, side=side, cache=folder)[0]
    light = light.scaled(1.0 if intensity is None else intensity)
    write_light(stages / "light.safetensors", light)
    return light


def _light_name(arguments: argparse.Namespace, settings: CascadeSettings) -> dict[str, Any]:
    from castex.files import sha256

    name = None if arguments.hdri else arguments.light or settings.light
    hdri = sha256(arguments.hdri) if arguments.hdri else None
    intensity = arguments.intensity
    if intensity is None and name is not None and name not in GENERATED:
        # That of the configuration, which may change.
        intensity = _configured_light(arguments, name)[1]
    return {"name": name, "hdri_sha256": hdri, "intensity": intensity}


def _configured_light(arguments: argparse.Namespace, name: str) -> tuple[Path, float]:
    """The file of a scale's light, and its intensity; InputError says how to bring it."""
    from castex.config import checkout, load_config

    config = load_config(arguments.scale)
    light = config.lights.get(name)
    if light is None or light.file is None:
        raise InputError(f"there is no light {name!r}; choose from {', '.join(GENERATED)}, or give --hdri")
    file = config.files[light.file]
    path = Path(file.local) if file.local else checkout() / config.cache / file.path
    if not path.is_file():
        raise InputError(
            f"the light {name!r} of scale {arguments.scale!r} is not at {path}; run "
            f"`snakemake --cores 1 fetch_all --configfile config/{arguments.scale}.yaml` in the checkout, or "
            "give --hdri or --light"
        )
    return path, light.intensity


def _embed(text_model: Path, stage: StageSettings, prompt: str, folder: Path) -> Path:
    """The embedded prompt of one stage, made anew unless it is there; says what the encoder cuts off."""
    from castex.diffusion import resolved_precision
    from castex.prompt import load_text_encoder, read_embeddings, text_identity, texts_of, write_embeddings
    from castex.settings.models import EmbedSettings, PromptSettings
    from castex.weights import locate

    path, texts = folder / "embeddings.safetensors", texts_of(PromptSettings(texts=[prompt]))
    if path.is_file():
        try:
            before = read_embeddings(path)
            if before.texts == tuple(texts) and before.model == text_identity(recorded(text_model)):
                return path
        except InputError:
            path.unlink()
    settings = EmbedSettings(device=stage.execution.device)
    encoder = load_text_encoder(locate(text_model), settings)
    lost = encoder.lost(prompt)
    if lost:
        short = prompt if len(prompt) <= SHOWN else f"{prompt[:SHOWN]}…"
        print(
            f"the last {lost} tokens of {short!r} are cut: the text encoder reads {encoder.tokens}, and the "
            "view words are lost with them; use a shorter prompt",
            file=sys.stderr,
        )
    write_embeddings(path, encoder.embed(texts, dtype=resolved_precision(settings)))
    return path


def _provenance(
    arguments: argparse.Namespace,
    prompt: str,
    mesh_sha256: str,
    made: Prepared,
    files: dict[str, StageFiles],
    stages: Path,
) -> dict[str, Any]:
    """How the texture was made: no time, no host and no path, so that equal runs give equal bytes."""
    import dataclasses

    from castex.files import read_json

    results = {name: read_json(stages / name / RESULT) for name in files}
    last = list(results.values())[-1]
    return {
        "prompt": prompt,
        "scale": arguments.scale,
        "method": DEFAULT_METHOD if arguments.method == "castex" else arguments.method,
        "seed": arguments.seed,
        "asset": mesh_sha256[:16],
        "mesh": {
            "sha256": mesh_sha256,
            "front": arguments.front,
            "up": arguments.up,
            "rewrap": arguments.rewrap,
            "method": made.report.get("method", ""),
            "attribution": dataclasses.asdict(made.attribution),
        },
        "stages": {
            name: {key: result[key] for key in ("settings", "identity", "fingerprint", "maps_sha256")}
            for name, result in results.items()
        },
        "versions": last["versions"],
        "threads": last["threads"],
    }


def _export(
    output: Path, made: Prepared, maps_path: Path, light: EnvironmentLight, provenance: dict[str, Any]
) -> None:
    from castex.export import credit, glb_file, map_folder, portable
    from castex.files import json_text, write_together
    from castex.film import gif_bytes
    from castex.maps_file import read_maps
    from castex.picture import png_bytes
    from castex.synthesise import contact_sheet

    maps = read_maps(maps_path)
    ready = portable(made.mesh, maps)
    files = map_folder(made.mesh, ready)
    files["preview.png"] = png_bytes(contact_sheet(made.mesh, maps, light))
    files["turntable.gif"] = gif_bytes(_frames(made, maps, light))
    files["provenance.json"] = json_text(provenance).encode()
    files["textured.glb"] = glb_file(made.mesh, ready, attribution=made.attribution, provenance=provenance)
    write_together(output, files)
    for name in files:
        print(output / name)
    print(credit(made.attribution) or "the file names no author and no licence")


def _frames(made: Prepared, maps: TextureMaps, light: EnvironmentLight) -> list[Any]:
    import dataclasses

    from castex.photograph import fitting_distance, photographs
    from castex.shot import orbit

    shot = orbit(FRAMES)
    shot = dataclasses.replace(shot, distance=fitting_distance(made.mesh, shot.fov))
    taken = photographs(made.mesh, maps, light, shot, size=FRAME_SIZE)
    return [picture for picture, _ in taken]
