"""One stage of texture synthesis: a mesh, a light and a guidance in, four texture maps out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from castex.bake import atlas, dilated
from castex.errors import InputError
from castex.files import fingerprint
from castex.light import EnvironmentLight
from castex.maps import TextureMaps, grey_maps
from castex.maps_file import read_maps, write_maps
from castex.mesh import Mesh
from castex.optimise import Observation, Run, learning_rate, optimise
from castex.parameterise import ExplicitTexture, HashGridTexture, NeuralTexture, random_maps
from castex.photograph import fitting_distance, photographs, sheet
from castex.picture import write_picture
from castex.protocols import Guidance, Image, Renderer, Texture
from castex.raster import GBuffer
from castex.render import MeshRenderer
from castex.rng import generator
from castex.settings.synthesis import StageSettings
from castex.shot import Shot, fixed_shot, orbit, sample_shot
from castex.texture import SkipNetwork
from castex.visibility import Visibility, visibility_of

SHEET_COLUMNS, SHEET_VIEWS, SHEET_SIZE = 4, 8, 192
LOOK_SIZE = 128
MapsTexture = Texture[TextureMaps]
MeshRender = Renderer[TextureMaps, Shot]
# From the renderer, the maps of the start, and the memory of the run.
Guide = Callable[[MeshRender, TextureMaps, dict[str, Tensor]], Guidance[Shot]]


@dataclass(frozen=True)
class Task:
    """What is textured, under which light, by which random streams.

    Streams depend on seed, asset and the kind of stage alone: arms of an experiment are paired. `identity`
    (JSON values) is whatever else decides the result: a checkpoint with another one is not resumed.
    """

    mesh: Mesh
    light: EnvironmentLight
    settings: StageSettings
    seed: int
    asset: str
    identity: Any = None
    given: TextureMaps | None = None
    """Maps to begin with, for `initial: given`; the anchor of an upsampler."""

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes the result."""
        return stage_fingerprint(self.settings, self.seed, self.asset, self.identity)


def stage_fingerprint(settings: StageSettings, seed: int, asset: str, identity: Any) -> str:
    """Of a stage that is not loaded yet; see `Task`."""
    return fingerprint([settings.model_dump(mode="json"), seed, asset, identity])


@dataclass(frozen=True)
class Synthesis:
    """What a stage ended with."""

    maps: TextureMaps
    """Detached, on the CPU."""
    trace: list[tuple[int, Observation]]
    snapshots: dict[int, TextureMaps]
    """Maps after the steps that the settings name."""
    first_step: int
    """Where this process began: 0, or the step that was resumed."""
    seconds: float
    """Of this process's part of the loop."""


class OneLook:
    """A renderer that looks once at each shot, however many maps it renders from it.

    Geometry is frozen, so the anchor and the current maps share the visibility; the colour of the background
    is no part of it.
    """

    def __init__(self, renderer: MeshRenderer) -> None:
        self._renderer = renderer
        self._last: tuple[Tensor, GBuffer] | None = None

    def __call__(self, maps: TextureMaps, shot: Shot) -> Image:
        """The image of `MeshRenderer`, to the bit."""
        if self._last is None or self._last[0] is not shot.azimuth:
            self._last = (shot.azimuth, self._renderer.buffer(shot))
        return self._renderer.shaded(maps, self._last[1], shot)


def synthesise(task: Task, guide: Guide, *, checkpoints: Path, preview: Path | None = None) -> Synthesis:
    """Run one stage, resuming from `checkpoints`; `preview` is a picture that is renewed on the way.

    Killed and resumed it ends with the same bytes as a run that was not (CPU, same number of threads).
    InputError for a mesh that no camera sees and for maps that do not fit the settings; NonFiniteGradient
    when the guidance fails, with the last good state kept in `checkpoints`.
    """
    settings, device = task.settings, task.settings.execution.device
    mesh, light = task.mesh.to(device), task.light.to(device)
    visibility = visibility_of(mesh)
    _check_visible(visibility)
    start = start_maps(task).to(device)
    render = OneLook(MeshRenderer(mesh, light, settings.render_size, visibility=visibility))
    memory: dict[str, Tensor] = {}
    run: Run[TextureMaps, Shot] = Run(
        stage=settings.kind,
        texture=parameterised(task, start),
        render=render,
        guidance=guide(render, start, memory),
        sample_shot=lambda stream: sample_shot(settings.shot, generator=stream),
        observe=_nothing,
        settings=settings.adam,
        shots=_stream(task, "shot"),
        noise=_stream(task, "noise"),
        memory=memory,
    )
    run.observe = lambda _: {"gradient_norm": run.gradient_norm}
    if settings.texture.smoothness > 0:
        run.penalty = lambda maps: settings.texture.smoothness * roughness_of(maps)
    if preview is not None or settings.adam.snapshots:
        run.after_step = _Keeper(task, mesh, light, checkpoints, preview)
    begun = time.monotonic()
    first = optimise(run, checkpoints=checkpoints, fingerprint=task.fingerprint)
    seconds = time.monotonic() - begun
    kept = {step: read_maps(snapshot_path(task, checkpoints, step)) for step in settings.adam.snapshots}
    with torch.no_grad():
        return Synthesis(detached(run.texture.maps()), run.trace, kept, first, seconds)


def detached(maps: TextureMaps) -> TextureMaps:
    """The same values on the CPU, without a graph."""
    return TextureMaps(*(getattr(maps, field.name).detach().cpu() for field in dataclasses.fields(maps)))


def snapshot_path(task: Task, checkpoints: Path, step: int) -> Path:
    """Where a snapshot waits for the end of the run: several tasks may have used one folder."""
    return checkpoints / f"{task.fingerprint[:16]}_{step:06d}.safetensors"


def _stream(task: Task, purpose: str) -> torch.Generator:
    return generator(task.seed, task.asset, f"{task.settings.kind} {purpose}")


def _nothing(_: TextureMaps) -> Observation:
    return {}


def start_maps(task: Task) -> TextureMaps:
    """The maps with which a stage begins, on the CPU; InputError where given ones are missing or unwanted."""
    texture = task.settings.texture
    if (texture.initial == "given") != (task.given is not None):
        wanted = "needs maps to begin with" if task.given is None else "begins without given maps"
        raise InputError(f"a stage with initial={texture.initial!r} {wanted}; check `initial` and the maps")
    if task.given is not None:
        return task.given
    if texture.initial == "random":
        return random_maps(texture.size, generator=_stream(task, "initial"))
    return grey_maps(texture.size)


def parameterised(task: Task, start: TextureMaps) -> MapsTexture:
    """The texture of a task, on its device; implicit ones take from `start` what is not learned alone."""
    texture, device = task.settings.texture, task.settings.execution.device
    stream = _stream(task, "initial")
    match texture.kind:
        case "explicit":
            return ExplicitTexture(start, texture.learned)
        case "dip":
            network = SkipNetwork(texture.dip.width, texture.dip.scales, outputs=8, generator=stream)
            return NeuralTexture(network, start.to("cpu"), texture.learned, generator=stream).to(device)
        case "hash-grid":
            points, index = surface_points(task.mesh, texture.size)
            field = HashGridTexture(
                points, index, texture.hash_grid, start.to("cpu"), texture.learned, generator=stream
            )
            return field.to(device)


def surface_points(mesh: Mesh, size: int) -> tuple[Float[Tensor, "points 3"], Int[Tensor, "size size"]]:
    """Where the texels of a `size` x `size` atlas lie on the mesh, and which point each texel shows.

    A texel that no triangle covers shows the nearest point in the atlas, so that lookups at the border of a
    chart find nothing foreign. InputError for an atlas without any texel.
    """
    layout = atlas(mesh.v_texcoord.cpu().numpy(), mesh.t_vertex_idx.cpu().numpy(), size)
    covered = layout.texel_triangle_idx >= 0
    if not covered.any():
        raise InputError("no triangle covers a texel of the atlas; prepare the mesh with `--rewrap`")
    triangle = torch.from_numpy(layout.texel_triangle_idx[covered]).long()
    weight = torch.from_numpy(layout.texel_barycentric[covered])[..., None]
    points = (mesh.v_position.cpu()[mesh.t_vertex_idx.cpu()[triangle]] * weight).sum(1)
    number = np.zeros((size, size, 1), dtype=np.float32)
    # Whole numbers up to 2^24 are exact: as many as the largest atlas has texels.
    number[covered, 0] = np.arange(len(points), dtype=np.float32)
    return points, torch.from_numpy(dilated(number, covered)[..., 0]).long()


def roughness_of(maps: TextureMaps) -> Float[Tensor, ""]:
    """Mean absolute difference of neighbouring texels over all maps."""
    stacked = maps.stacked()
    across, down = stacked.diff(dim=1), stacked.diff(dim=0)
    return across.abs().mean() + down.abs().mean()


def _check_visible(visibility: Visibility) -> None:
    """InputError for a mesh of which no camera around it sees a single pixel."""
    around = fixed_shot([0.0, 90.0, 180.0, 270.0, 45.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 30.0, 60.0, -60.0])
    if not bool((visibility(around, LOOK_SIZE) >= 0).any()):
        raise InputError(
            "no texel of the mesh is visible from any side: its triangles have no area, or are too small; "
            "check the mesh with `castex inspect`"
        )


def contact_sheet(mesh: Mesh, maps: TextureMaps, light: EnvironmentLight) -> Image:
    """Views around the object, sRGB on white, in one picture."""
    shot = orbit(SHEET_VIEWS, start=30.0)
    shot = dataclasses.replace(shot, distance=fitting_distance(mesh, shot.fov))
    pictures = [picture for picture, _ in photographs(mesh, maps, light, shot, size=SHEET_SIZE)]
    return sheet(pictures, columns=SHEET_COLUMNS)


@dataclass(frozen=True)
class _Keeper:
    """Called after every step: writes the preview now and then, and the snapshots."""

    task: Task
    mesh: Mesh
    light: EnvironmentLight
    checkpoints: Path
    preview: Path | None

    def __call__(self, done: int, maps: Callable[[], TextureMaps]) -> None:
        adam = self.task.settings.adam
        if done in adam.snapshots:
            write_maps(snapshot_path(self.task, self.checkpoints, done), detached(maps()))
        if self.preview is not None and (done % adam.preview_every == 0 or done == adam.steps):
            write_picture(self.preview, contact_sheet(self.mesh, maps(), self.light))


def trace_rows(settings: StageSettings, trace: list[tuple[int, Observation]]) -> str:
    """trace.csv: step, norm of the parameters' gradient, learning rate."""
    rows = [
        f"{step},{seen['gradient_norm']!r},{learning_rate(settings.adam, step - 1)!r}" for step, seen in trace
    ]
    return "\n".join(["step,gradient_norm,learning_rate", *rows]) + "\n"


def checked_prompt(prompt: str) -> str:
    """The prompt without space around it; InputError for one that says nothing or is no text."""
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise InputError("the prompt holds bytes that are no text; type it again in UTF-8") from None
    if not prompt.strip():
        raise InputError(
            "the prompt is empty; say what the object should look like, as in 'a red brick vase'"
        )
    return prompt.strip()
