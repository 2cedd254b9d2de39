"""One training loop for every mini model: averaged weights, mixed precision, budgets, exact resumption.

What is trained, and on what, is a `Recipe`. Everything random in a step comes from a generator made of the
seed and the step's number, so that a training that was interrupted ends with the same bytes as one that was
not (on one kind of machine, on the CPU).
"""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from castex.checkpoint import Checkpoint, load, optimiser_tensors, restore_optimiser, save
from castex.errors import InputError
from castex.files import fingerprint
from castex.progress import Progress
from castex.rng import generator
from castex.settings.training import TrainingSettings
from castex.training.precision import autocast

LONGEST_CURVE = 100
"""Rows of the loss curve that is kept: each is a mean over its share of the steps."""


@runtime_checkable
class Recipe(Protocol):
    """What one model is and what it learns from."""

    name: str
    """Stands in progress lines and in the record."""

    def networks(self) -> Mapping[str, nn.Module]:
        """The networks that are trained, by the name under which a checkpoint keeps them."""
        ...

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The loss of a batch that is drawn from `stream`; called under autocast."""
        ...


class Trainer:
    """The state of one training: networks, their averages, Adam's moments, step, losses, seconds."""

    def __init__(self, recipe: Recipe, settings: TrainingSettings, *, data: str | Mapping[str, Any]) -> None:
        """`data` identifies everything that the recipe learns from; it stands in the record."""
        self.recipe, self.settings, self._data = recipe, settings, data
        self.device = torch.device(settings.device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise InputError("device is cuda, but torch finds no CUDA device; use device: cpu")
        self.networks = nn.ModuleDict(dict(recipe.networks()))
        for network in self.networks.values():
            network.to(self.device)
            # Not on the CPU: the backward pass of group normalisation is some 25 times slower there in this
            # layout (torch 2.13), a fifth of a whole step.
            if self.device.type == "cuda":
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averages = copy.deepcopy(self.networks).eval().requires_grad_(False)
        self.networks.train()
        self._parameters = [p for p in self.networks.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self._parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay,
            betas=(0.9, 0.99), fused=True,
        )  # fmt: skip
        self.step, self.seconds, self.losses = 0, 0.0, list[float]()

    def run(self, checkpoints: Path, clock: Callable[[], float] = time.monotonic) -> bool:
        """Train to the last step (True) or until the sitting's budget is spent (False), saving on the way."""
        settings, start, before = self.settings, clock(), self.seconds
        progress = Progress(f"train {self.recipe.name}", settings.steps, first=self.step)
        while self.step < settings.steps:
            self.losses.append(self._step())
            self.step += 1
            self.seconds = before + clock() - start
            recent = self.losses[-50:]
            progress.update(self.step, f"loss {sum(recent) / len(recent):.5f}")
            spent = clock() - start > 60 * settings.minutes
            if spent or self.step % settings.checkpoint_every == 0 or self.step == settings.steps:
                self.save(checkpoints)
            if spent and self.step < settings.steps:
                return False
        return True

    def _step(self) -> float:
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(self.step, settings.steps)
        stream = generator(settings.seed, str(self.step), "batch")
        with autocast(self.device, wanted=settings.mixed_precision):
            loss = self.recipe.loss(self.step, settings.batch, stream)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InputError(
                f"the loss of {self.recipe.name} is {value} at step {self.step}; lower its learning "
                "rate, which starts it anew; the last checkpoint is whole"
            )
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, settings.clip)
        self.optimiser.step()
        self._average()
        return value

    @torch.no_grad()
    def _average(self) -> None:
        # A short average at first, or the random start would linger for thousands of steps.
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        kept: list[Tensor] = list(self.averages.parameters())
        torch._foreach_lerp_(kept, list[Tensor](self.networks.parameters()), 1 - decay)
        for old, now in zip(self.averages.buffers(), self.networks.buffers(), strict=True):
            old.copy_(now)

    def save(self, checkpoints: Path) -> None:
        """Write the whole state into one of the two slots."""
        tensors = {f"model.{k}": v for k, v in self.networks.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.averages.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser)
        tensors |= {
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "seconds": torch.tensor(self.seconds),
        }
        host = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save(checkpoints, Checkpoint(self.step, host), settings=self.identity)

    def resume(self, checkpoints: Path) -> bool:
        """Continue from the newest valid checkpoint of this very training; False when there is none."""
        found = load(checkpoints, settings=self.identity)
        if found is None:
            return False
        self.networks.load_state_dict(_part(found.tensors, "model."))
        self.averages.load_state_dict(_part(found.tensors, "average."))
        restore_optimiser(self.optimiser, found.tensors)
        self.step, self.losses = found.step, found.tensors["losses"].tolist()
        self.seconds = float(found.tensors["seconds"])
        return True

    @property
    def identity(self) -> str:
        """What a checkpoint belongs to: the model, the data, and all settings that change the weights."""
        settings = self.settings.model_dump(mode="json", exclude={"minutes", "device", "checkpoint_every"})
        return fingerprint([self.recipe.name, settings, self._data])

    def record(self) -> dict[str, Any]:
        """What a model card says about the making of the model."""
        return {
            "name": self.recipe.name,
            "settings": self.settings.model_dump(mode="json"),
            "data": self._data,
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "machine": machine_kind(self.device),
            "torch": torch.__version__,
            "parameters": {n: sum(p.numel() for p in m.parameters()) for n, m in self.networks.items()},
            "curve": curve(self.losses),
        }


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear warm-up over 2 % of the steps, then a half cosine to zero."""
    warm = max(steps // 50, 1)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))


def curve(losses: list[float]) -> list[tuple[int, float]]:
    """At most `LONGEST_CURVE` pairs (step, mean loss since the last pair)."""
    share = max(math.ceil(len(losses) / LONGEST_CURVE), 1)
    parts = [losses[start : start + share] for start in range(0, len(losses), share)]
    return [
        (min((k + 1) * share, len(losses)), round(sum(part) / len(part), 6)) for k, part in enumerate(parts)
    ]


def machine_kind(device: torch.device) -> str:
    """The kind of machine, without its name: "CPU, 1 thread(s), x86_64" or a GPU's model."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread(s), {platform.machine()}"


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
