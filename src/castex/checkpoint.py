"""Checkpoints that survive a kill at any instant: two slots, each with a hash beside it.

A slot is `slot<k>.safetensors` and `slot<k>.json` (step, settings fingerprint, SHA-256 of the tensors).
Saving overwrites the older valid slot, or the invalid one, so after the first save a valid one always
exists; loading takes the newest slot whose hash and fingerprint agree.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from castex.files import sha256, write_json, write_tensors

SLOTS = (0, 1)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole state of a loop after `step` steps."""

    step: int
    tensors: dict[str, Tensor]


def save(folder: Path, checkpoint: Checkpoint, *, settings: str) -> None:
    """Write `checkpoint` into the older of the two slots; `settings` is the fingerprint of the run."""
    slot = min(SLOTS, key=lambda k: _valid_step(folder, k, settings))
    # The sidecar goes first: tensors without a matching sidecar are ignored, whichever write was cut off.
    (folder / f"slot{slot}.json").unlink(missing_ok=True)
    path = folder / f"slot{slot}.safetensors"
    write_tensors(path, checkpoint.tensors)
    write_json(
        folder / f"slot{slot}.json",
        {"step": checkpoint.step, "settings": settings, "sha256": sha256(path)},
    )


def load(folder: Path, *, settings: str) -> Checkpoint | None:
    """The newest valid checkpoint of a run with this settings fingerprint, or None."""
    step, slot = max((_valid_step(folder, slot, settings), slot) for slot in SLOTS)
    return None if step < 0 else Checkpoint(step, load_file(folder / f"slot{slot}.safetensors"))


def discard(folder: Path) -> None:
    """Remove the checkpoints of a finished run."""
    shutil.rmtree(folder, ignore_errors=True)


def _valid_step(folder: Path, slot: int, settings: str) -> int:
    """The step that a slot holds for this run; -1 for an empty or damaged slot and for another run's."""
    sidecar, path = _sidecar(folder, slot), folder / f"slot{slot}.safetensors"
    if sidecar is None or sidecar["settings"] != settings or not path.is_file():
        return -1
    return int(sidecar["step"]) if sha256(path) == sidecar["sha256"] else -1


def _sidecar(folder: Path, slot: int) -> dict[str, int | str] | None:
    try:
        value = json.loads((folder / f"slot{slot}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and {"step", "settings", "sha256"} <= value.keys() else None


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's moments and step counters as a flat dictionary `optimiser.<parameter>.<name>`."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{index}.{name}": value for index, slots in state.items() for name, value in slots.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `optimiser_tensors`; keys that belong to something else are left alone.

    Each moment gets the memory layout of its parameter: fused optimisers walk through raw memory, and a
    file keeps no layout.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            parameter = parameters[int(index)]
            laid_out = (
                torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
            )
            state.setdefault(int(index), {})[name] = laid_out.detach().copy_(value)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
