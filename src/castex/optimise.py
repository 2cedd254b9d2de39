"""The loop: render, ask the guidance for a gradient, step, project. Nothing else knows the iteration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from castex.checkpoint import Checkpoint, load, optimiser_tensors, restore_optimiser, save
from castex.errors import NonFiniteGradient
from castex.progress import Progress
from castex.protocols import Guidance, Renderer, Texture
from castex.settings import OptimiseSettings
from castex.settings.synthesis import AdamSettings

Maps = TypeVar("Maps")
Shot = TypeVar("Shot")
Observation = dict[str, float]


@dataclass
class Run(Generic[Maps, Shot]):
    """One optimisation: its parts, its random streams, and what was observed on the way.

    `observe` is called with the maps every `observe_every` steps and after the last one; its numbers are
    kept with their step in `trace`. `stage` names the run in messages. `penalty` is a number added to what
    is descended. `memory` is whatever else must survive a kill; the guidance may own it. `after_step` is
    called with the number of finished steps and what gives the maps. `gradient_norm` is that of the last
    step's parameters.
    """

    stage: str
    texture: Texture[Maps]
    render: Renderer[Maps, Shot]
    guidance: Guidance[Shot]
    sample_shot: Callable[[torch.Generator], Shot]
    observe: Callable[[Maps], Observation]
    settings: OptimiseSettings | AdamSettings
    shots: torch.Generator
    noise: torch.Generator
    trace: list[tuple[int, Observation]] = field(default_factory=list)
    penalty: Callable[[Maps], Tensor] | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    after_step: Callable[[int, Callable[[], Maps]], None] | None = None
    gradient_norm: float = 0.0


def optimise(run: Run[Maps, Shot], *, checkpoints: Path, fingerprint: str) -> int:
    """Run all steps, resuming from `checkpoints` where possible; return the step it started from.

    A run that was killed and resumed ends with the same bytes as one that was not (CPU, same threads).
    Raises NonFiniteGradient before the parameters are touched by a bad gradient; the state before that step
    is saved first, so that nothing is lost and the same command fails at the same step until it is mended.
    """
    settings = run.settings
    optimiser = torch.optim.Adam(run.texture.parameters(), lr=settings.learning_rate)
    first = _resume(run, optimiser, checkpoints, fingerprint)
    progress = Progress(run.stage, settings.steps, first=first)
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(settings, step)
        before = _draws(run)
        try:
            _step(run, optimiser, step)
        except NonFiniteGradient:
            _undraw(run, before)
            save(checkpoints, _state(run, optimiser, step), settings=fingerprint)
            raise
        done = step + 1
        if run.after_step is not None:
            with torch.no_grad():
                run.after_step(done, run.texture.maps)
        if done % settings.observe_every == 0 or done == settings.steps:
            with torch.no_grad():
                run.trace.append((done, run.observe(run.texture.maps())))
        if done % settings.checkpoint_every == 0 and done < settings.steps:
            save(checkpoints, _state(run, optimiser, done), settings=fingerprint)
        progress.update(done, _note(run))
    return first


def _step(run: Run[Maps, Shot], optimiser: torch.optim.Optimizer, step: int) -> None:
    shot = run.sample_shot(run.shots)
    maps = run.texture.maps()
    image = run.render(maps, shot)
    gradient = run.guidance.gradient(
        image.detach(), shot, progress=step / run.settings.steps, generator=run.noise
    )
    if not bool(torch.isfinite(gradient).all()):
        raise NonFiniteGradient(run.stage, step)
    optimiser.zero_grad()
    if run.penalty is None:
        torch.autograd.backward(image, gradient)
    else:
        torch.autograd.backward([image, run.penalty(maps)], [gradient, None])
    # What passes through renderer and texture may still overflow on its way.
    run.gradient_norm = _norm(run.texture.parameters())
    if not math.isfinite(run.gradient_norm):
        raise NonFiniteGradient(run.stage, step)
    optimiser.step()
    run.texture.project_()


def _norm(parameters: Iterator[torch.nn.Parameter]) -> float:
    return float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))


def _draws(run: Run[Maps, Shot]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """All that a step changes before its gradient is known."""
    return run.shots.get_state(), run.noise.get_state(), dict(run.memory)


def _undraw(run: Run[Maps, Shot], before: tuple[Tensor, Tensor, dict[str, Tensor]]) -> None:
    shots, noise, memory = before
    run.shots.set_state(shots)
    run.noise.set_state(noise)
    run.memory.clear()
    run.memory.update(memory)


def learning_rate(settings: OptimiseSettings | AdamSettings, step: int) -> float:
    """Of one step.

    `AdamSettings`: a factor after every so many steps. `OptimiseSettings`: constant for the first half, then
    geometric decay to `final_fraction` at the last step.
    """
    if isinstance(settings, AdamSettings):
        return settings.learning_rate * math.pow(settings.decay, step // settings.decay_every)
    late = max(0.0, 2 * (step + 1) / settings.steps - 1)
    return settings.learning_rate * math.pow(settings.final_fraction, late)


def _note(run: Run[Maps, Shot]) -> str:
    last = run.trace[-1][1] if run.trace else {}
    seen = [f"{name} {value:.2f}" for name, value in last.items() if name != "gradient_norm"]
    return "  ".join([*seen, f"|gradient| {run.gradient_norm:.2g}"])


def _state(run: Run[Maps, Shot], optimiser: torch.optim.Optimizer, step: int) -> Checkpoint:
    tensors: dict[str, Tensor] = {f"texture.{k}": v for k, v in run.texture.state_dict().items()}
    tensors |= optimiser_tensors(optimiser)
    tensors |= {"shots": run.shots.get_state(), "noise": run.noise.get_state()}
    tensors |= {f"memory.{name}": value for name, value in run.memory.items()}
    names = sorted(run.trace[0][1]) if run.trace else []
    tensors["trace.step"] = torch.tensor([step for step, _ in run.trace], dtype=torch.int64)
    for name in names:
        values = [observed[name] for _, observed in run.trace]
        tensors[f"trace.value.{name}"] = torch.tensor(values, dtype=torch.float64)
    return Checkpoint(step, tensors)


def _resume(
    run: Run[Maps, Shot], optimiser: torch.optim.Optimizer, checkpoints: Path, fingerprint: str
) -> int:
    found = load(checkpoints, settings=fingerprint)
    if found is None:
        return 0
    tensors = found.tensors
    run.texture.load_state_dict(
        {k.removeprefix("texture."): v for k, v in tensors.items() if k.startswith("texture.")}
    )
    restore_optimiser(optimiser, tensors)
    run.shots.set_state(tensors["shots"])
    run.noise.set_state(tensors["noise"])
    run.memory |= {k.removeprefix("memory."): v for k, v in tensors.items() if k.startswith("memory.")}
    columns = {k.removeprefix("trace.value."): v for k, v in tensors.items() if k.startswith("trace.value.")}
    run.trace[:] = [
        (int(step), {name: float(values[row]) for name, values in columns.items()})
        for row, step in enumerate(tensors["trace.step"])
    ]
    return found.step
