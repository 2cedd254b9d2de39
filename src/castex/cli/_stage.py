"""What `synthesise` and `texture` share: one stage from files to files."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from castex.cascade import Model
    from castex.settings.synthesis import StageSettings
    from castex.synthesise import Guide, Synthesis, Task
    from castex.weights import ModelFolder

MAPS, RESULT = "maps.safetensors", "result.json"
SNAPSHOTS = "snapshots"
NETWORKS = ("unet", "vae", "scheduler", "image_noising_scheduler")


@dataclass(frozen=True)
class StageFiles:
    """Everything that decides a stage."""

    settings: StageSettings
    mesh: Path
    light: Path
    embeddings: Path
    model: Path
    """Model folder, or a lock file of `fetch`."""
    prompt: str
    asset: str
    seed: int
    base: Path | None = None
    """Maps to begin with."""

    def identity(self) -> dict[str, Any]:
        """Hashes in place of paths: what a result and a checkpoint belong to."""
        from castex.files import sha256

        folder = recorded(self.model)
        return {
            "mesh_sha256": sha256(self.mesh),
            "light_sha256": sha256(self.light),
            "embeddings": embedded(self.embeddings),
            "base_sha256": None if self.base is None else sha256(self.base),
            "prompt": self.prompt,
            "model": {
                "identity": folder.identity(*NETWORKS),
                "repository": folder.repository,
                "revision": folder.revision,
            },
        }

    def is_done(self, output: Path) -> bool:
        """Whether `output` holds the result of this very stage, unharmed."""
        from castex.errors import InputError
        from castex.files import read_json, sha256
        from castex.synthesise import stage_fingerprint

        try:
            result = read_json(output / RESULT)
            key = stage_fingerprint(self.settings, self.seed, self.asset, self.identity())
            return bool(result["fingerprint"] == key and result["maps_sha256"] == sha256(output / MAPS))
        except (InputError, OSError, KeyError, TypeError):
            return False


def embedded(path: Path) -> str:
    """A hash of embeddings by content: the header of their file has no fixed order."""
    import hashlib

    from castex.files import fingerprint
    from castex.prompt import read_embeddings

    found = read_embeddings(path)
    digest = hashlib.sha256(found.values.numpy().tobytes()).hexdigest()
    return fingerprint([found.texts, found.model, digest])


def recorded(model: Path) -> ModelFolder:
    """What is recorded of a model, its bytes unread: loading it checks them."""
    from castex.errors import WeightsError
    from castex.weights import ModelFolder, read_lock, read_sums

    if model.suffix == ".json":
        return read_lock(model)
    if not model.is_dir():
        raise WeightsError(f"there is no model folder at {model}; fetch the model or correct the path")
    return ModelFolder(model, read_sums(model))


def run_stage(files: StageFiles, output: Path) -> int:
    """Run one stage and write maps.safetensors, trace.csv, preview.png and result.json, all or none.

    Snapshots that the settings ask for stand in a folder beside them. Returns the step at which this process
    began. Checkpoints lie in `output` until the result is written.
    """
    from castex import checkpoint
    from castex.light import read_light
    from castex.maps_file import read_maps
    from castex.mesh import read_mesh
    from castex.synthesise import Task, synthesise

    check_device(files.settings.execution.device)
    task = Task(
        mesh=read_mesh(files.mesh),
        light=read_light(files.light),
        settings=files.settings,
        seed=files.seed,
        asset=files.asset,
        identity=files.identity(),
        given=None if files.base is None else read_maps(files.base),
    )
    checkpoints = output / ".checkpoints"
    found = checkpoint.load(checkpoints, settings=task.fingerprint)
    if found is not None:
        print(f"{files.settings.kind}: resumed at step {found.step}", file=sys.stderr)
    made = synthesise(task, _guide(files), checkpoints=checkpoints, preview=output / "preview.png")
    _write(files, task, made, output)
    checkpoint.discard(checkpoints)
    return made.first_step


def check_device(device: str, *, remedy: str = "use --device cpu") -> None:
    """InputError for a CUDA device that is not there."""
    import torch

    from castex.errors import InputError

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device='cuda', but torch finds no CUDA device here; {remedy}")


def _guide(files: StageFiles) -> Guide:
    from castex.cascade import stage_guidance
    from castex.prompt import read_embeddings

    embeddings = read_embeddings(files.embeddings)
    model = load_model(files.model, files.settings)
    return lambda render, start, memory: stage_guidance(
        model, files.settings, files.prompt, embeddings, render=render, start=start, memory=memory
    )


def load_model(path: Path, settings: StageSettings) -> Model:
    """The network of a stage, every byte checked; WeightsError when it is of another kind."""
    from castex import diffusion

    match settings.kind:
        case "base":
            return diffusion.load_base(path, settings.execution)
        case "upsampler":
            return diffusion.load_upsampler(path, settings.execution)
        case "latent":
            return diffusion.load_stable_diffusion(path, settings.execution)


def _write(files: StageFiles, task: Task, made: Synthesis, output: Path) -> None:
    import hashlib

    import torch

    from castex.files import json_text, write_together
    from castex.maps_file import maps_bytes
    from castex.picture import png_bytes
    from castex.synthesise import contact_sheet, trace_rows

    content = maps_bytes(made.maps)
    record = {
        "asset": files.asset,
        "seed": files.seed,
        "prompt": files.prompt,
        "kind": files.settings.kind,
        "steps": files.settings.adam.steps,
        "resumed_at": made.first_step,
        "seconds": round(made.seconds, 3),
        "fingerprint": task.fingerprint,
        "maps_sha256": hashlib.sha256(content).hexdigest(),
        "identity": task.identity,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "settings": files.settings.model_dump(mode="json"),
    }
    picture = png_bytes(contact_sheet(task.mesh, made.maps, task.light))
    contents = {
        **{snapshot_file(step): maps_bytes(kept) for step, kept in made.snapshots.items()},
        MAPS: content,
        "trace.csv": trace_rows(files.settings, made.trace).encode(),
        "preview.png": picture,
        RESULT: json_text(record).encode(),
    }
    (output / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
    write_together(output, contents)


def snapshot_file(step: int) -> str:
    """Where the maps after a step lie in the folder of a stage."""
    return f"{SNAPSHOTS}/step_{step:06d}.safetensors"


def versions() -> dict[str, str]:
    """Of the packages that decide numbers."""
    from importlib.metadata import version

    from castex import __version__

    return {
        "castex": __version__,
        **{name: version(name) for name in ("torch", "diffusers", "transformers", "numpy")},
    }
