"""How a texture was made: the record that `castex texture` leaves in its GLB and beside it, read and told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from castex.config import first_fault
from castex.errors import InputError
from castex.scene_file.container import read_json_chunk
from castex.settings.synthesis import CascadeSettings, StageSettings

SHORT = 16
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """A file may come from anywhere: every value is checked, what is unknown is ignored."""

    model_config = ConfigDict(frozen=True, strict=True)


class MeshRecord(_Part):
    """The mesh that was given, and how it was turned and unwrapped."""

    sha256: Sha256
    front: str
    up: str
    rewrap: bool
    method: str
    attribution: dict[str, str]


class LightRecord(_Part):
    """A named light or a panorama."""

    name: str | None
    hdri_sha256: Sha256 | None
    intensity: float | None


class ModelRecord(_Part):
    """A network, by a hash of its files."""

    identity: str
    repository: str | None
    revision: str | None


class IdentityRecord(_Part):
    """What a stage was made from."""

    mesh_sha256: Sha256
    light_sha256: Sha256
    embeddings: str
    base_sha256: Sha256 | None
    model: ModelRecord


class StageRecord(_Part):
    """One stage."""

    settings: Annotated[StageSettings, Field(strict=False)]
    identity: IdentityRecord
    maps_sha256: Sha256


class Record(_Part):
    """Everything that decides a textured mesh."""

    prompt: str
    scale: Literal["mini", "paper"]
    method: str
    seed: int
    mesh: MeshRecord
    light: LightRecord
    stages: dict[Literal["base", "upsampler"], StageRecord]
    versions: dict[str, str]
    threads: Annotated[int, Field(ge=1, le=1024)]

    def settings(self, now: CascadeSettings) -> CascadeSettings:
        """The settings of both stages; `now` names the models of the method."""
        upsampler = self.stages.get("upsampler")
        return now.model_copy(
            update={
                "base": self.stages["base"].settings,
                "upsampler": None if upsampler is None else upsampler.settings,
                "light": self.light.name or now.light,
                "keep_uv": not self.mesh.rewrap,
            }
        )


def read_record(path: Path) -> Record:
    """The record in a GLB's `asset.extras.castex`, or a provenance.json.

    InputError for a file without one, for a damaged one, and for settings that this version cannot read.
    """
    try:
        return Record.model_validate(found_record(path))
    except ValidationError as error:
        raise InputError(
            f"the record in {path} cannot be read by this version: {first_fault(error)}"
        ) from error


def found_record(path: Path) -> dict[str, Any]:
    """The same as it stands in the file, unchecked; InputError where there is none."""
    if not path.is_file():
        raise InputError(f"there is no file at {path}; give a GLB that `castex texture` wrote")
    found: Any = read_json_chunk(path)
    if path.suffix.lower() != ".json":
        for key in ("asset", "extras", "castex"):
            found = found.get(key) if isinstance(found, dict) else None
    stages = found.get("stages") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(stages, dict) or "base" not in stages:
        raise InputError(
            f"{path} does not say how it was made; only files that `castex texture` wrote do, and a program "
            "that saved one again may have dropped it"
        )
    return found


def told(record: Record) -> list[str]:
    """Lines for a reader: prompt, mesh, light, what each stage did, versions.

    A record may come from anywhere: nothing in it is printed that a terminal would obey.
    """
    mesh, light = record.mesh, record.light
    by = [mesh.attribution.get(name) for name in ("title", "author", "licence")]
    shown = light.name or f"panorama with sha256 {(light.hdri_sha256 or 'unknown')[:SHORT]}"
    lines = [
        f"prompt     {record.prompt}",
        f"mesh       {', '.join(part for part in by if part) or 'unknown'}; sha256 {mesh.sha256[:SHORT]}",
        f"method     {record.method} at the {record.scale} scale, seed {record.seed}",
        f"light      {shown}" + ("" if light.intensity is None else f", intensity {light.intensity:g}"),
    ]
    for name, stage in record.stages.items():
        first, *rest = _stage_lines(stage)
        lines += [f"{name:<10} {first}", *(f"{'':<10} {text}" for text in rest)]
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return [printable(line) for line in (*lines, f"with       {versions}; {record.threads} thread(s)")]


def printable(text: str) -> str:
    """The same line with a question mark for whatever is no printable character."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _stage_lines(made: StageRecord) -> list[str]:
    stage, model = made.settings, made.identity.model
    adam, distil, texture, window = stage.adam, stage.distil, stage.texture, stage.distil.window
    published = f"{model.repository} at {model.revision}" if model.repository else "local"
    low = stage.upsampling.low_resolution
    condition = (
        f"condition {stage.upsampling.source}, {low.base_size} px, {low.form}, noise level {low.level}"
    )
    return [
        f"{adam.steps} steps of Adam {adam.learning_rate:g}, times {adam.decay:g} every {adam.decay_every}",
        f"{stage.shot.views} views of {stage.render_size} px, guidance scale {distil.guidance_scale:g}, "
        f"form {distil.form}, noise {distil.noise}, weight {distil.weight}",
        f"timesteps {window.lowest_first} to {window.highest_first}, at the end {window.lowest_last} to "
        f"{window.highest_last}, {window.form}",
        *([condition] if stage.kind == "upsampler" else []),
        f"{texture.kind} maps of {texture.size} texels from {texture.initial}: {', '.join(texture.learned)}",
        f"model {published}, {model.identity[:SHORT]}, on {stage.execution.device}",
        f"maps with sha256 {made.maps_sha256[:SHORT]}",
    ]


def differing(record: Record, again: Record) -> list[str]:
    """The stages whose maps have other bytes in the second record."""
    return [
        name
        for name, made in record.stages.items()
        if name not in again.stages or again.stages[name].maps_sha256 != made.maps_sha256
    ]


def changed_versions(record: Record, now: Mapping[str, str]) -> list[str]:
    """Of the packages that decide numbers: "torch 2.12.0, here 2.13.0"."""
    return [
        printable(f"{name} {version}, here {now.get(name, 'none')}")
        for name, version in record.versions.items()
        if now.get(name) != version
    ]


def changed_inputs(record: Record, stage: str, identity: Mapping[str, Any]) -> list[str]:
    """What a stage would be made from here that is not what the record names.

    The maps of the stage before are left out: they are a result, which is compared as such.
    """
    wanted = record.stages[stage].identity  # type: ignore[index]
    named = {
        "mesh_sha256": ("the prepared mesh", wanted.mesh_sha256),
        "light_sha256": ("the light", wanted.light_sha256),
        "embeddings": ("the embedded prompt", wanted.embeddings),
    }
    if stage == "base":
        named["base_sha256"] = ("the maps to begin with", wanted.base_sha256 or "")
    found = [words for key, (words, value) in named.items() if (identity[key] or "") != value]
    return found + (["the model"] if identity["model"]["identity"] != wanted.model.identity else [])
