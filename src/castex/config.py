"""The configuration files, merged and validated the way the Snakefile sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from castex.errors import InputError
from castex.files import read_text
from castex.settings import Config

SCHEMA_HEADER = "# Generated from src/castex/settings/ by `castex schema`; edit the classes, not this file.\n"


def checkout() -> Path:
    """The root of the checkout that this package is installed from (editable)."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "config" / "config.yaml").is_file():
        raise InputError(
            "the configuration files are not beside the package; run from a checkout (`make env`), "
            "or give --settings FILE"
        )
    return root


def load_config(scale: str = "mini", overlay: Path | None = None) -> Config:
    """The validated configuration of a scale: `mini`, or one with an overlay `config/<scale>.yaml`.

    `overlay` is a further file on top, as `--configfile` gives it to Snakemake.
    """
    root = checkout()
    files = [root / "config" / "config.yaml", *sorted((root / "config" / "experiments").glob("*.yaml"))]
    if scale != "mini":
        layer = root / "config" / f"{scale}.yaml"
        if not layer.is_file():
            raise InputError(f"there is no scale {scale!r}: {layer.name} is not in config/")
        files.append(layer)
    if overlay is not None:
        files.append(overlay)
    return validated(merged(map(_read_yaml, files)))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold keys and values, not {type(value).__name__}")
    return value


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Later layers over earlier ones: mappings merge key by key, everything else is replaced."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            if isinstance(below, Mapping) and isinstance(value, Mapping):
                result[key] = merged([below, value])
            else:
                result[key] = value
    return result


def validated(raw: Mapping[str, Any]) -> Config:
    """The typed configuration; InputError names the first wrong key, its value and the rule."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"configuration: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """The first fault of a validation, as `key: reason (got value)`."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"]) or "(whole)"
    return f"{where}: {fault['msg']} (got {str(fault['input'])[:80]!r})"


def config_schema() -> str:
    """The YAML schema of the configuration files, generated from `Config`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return SCHEMA_HEADER + yaml.safe_dump(schema, sort_keys=False, width=100)
