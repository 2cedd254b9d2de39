"""Which model folders `castex texture` uses: those of the options, else those of the scale."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from castex.errors import WeightsError
from castex.settings.synthesis import CascadeSettings


@dataclass(frozen=True)
class Models:
    """Folders or lock files, all of which exist; the text encoder is looked up by the name of the stage."""

    base: Path
    upsampler: Path | None
    text: dict[str, Path]


def found_models(arguments: argparse.Namespace, settings: CascadeSettings) -> Models:
    """The models of a method; WeightsError, in one sentence, for one that is not there."""
    wanted = [("base", settings.base_model, arguments.base_model)]
    if settings.upsampler is not None:
        wanted.append(("upsampler", settings.upsampler_model, arguments.upsampler))
    networks, text = {}, {}
    for stage, name, given in wanted:
        networks[stage] = _present(arguments.scale, name, stage) if given is None else _given(given)
        if arguments.text_model is not None:
            text[stage] = _given(arguments.text_model)
        else:
            text[stage] = networks[stage] if given is not None else _text_of(arguments.scale, name, stage)
    return Models(networks["base"], networks.get("upsampler"), text)


def _given(path: Path) -> Path:
    if not path.exists():
        raise WeightsError(f"there is no model folder at {path}; fetch the model or correct the path")
    return path


def _present(scale: str, name: str, stage: str) -> Path:
    folder = _folder(scale, name)
    if not folder.is_dir():
        mend = (
            "they are shipped with the checkout: `git status` says what is missing"
            if scale == "mini"
            else f"run `snakemake --cores 1 fetch_all --configfile config/{scale}.yaml` in the checkout"
        )
        option = "base-model" if stage == "base" else "upsampler"
        raise WeightsError(
            f"the model {name} of scale {scale!r} is not at {folder}; {mend}, or give --{option} FOLDER"
        )
    return folder


def _text_of(scale: str, name: str, stage: str) -> Path:
    from castex.config import load_config

    model = load_config(scale).models.get(name)
    return _present(scale, name if model is None or model.text is None else model.text, stage)


def _folder(scale: str, name: str) -> Path:
    """Where a model of a scale lies, or would; the mini models lie in the checkout."""
    from castex.config import checkout, load_config
    from castex.fetch.models import model_folder

    config = load_config(scale)
    if name in config.models:
        return checkout() / model_folder(config.models[name], Path(config.cache))
    return checkout() / "data" / scale / name
