"""Make a whole corpus with several processes, or go on with one that was interrupted."""

from __future__ import annotations

import math
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open

import castex
from castex.errors import InputError
from castex.files import fingerprint, read_json, sha256, write_json
from castex.light import EnvironmentLight, prefiltered, read_light, write_light
from castex.panorama import GENERATED, generated_panorama
from castex.prepare import prepare
from castex.progress import Progress
from castex.scene_file import load_scene
from castex.settings.training import CorpusSettings
from castex.training.corpus import Studio, Work, make_shard, shard_list
from castex.training.lights import drawn_panorama

Item = TypeVar("Item")
Result = TypeVar("Result")

RECORD = "corpus.json"
BEGUN = "begun.json"


@dataclass(frozen=True)
class CorpusJob:
    """What is to be rendered, from what, and where to."""

    settings: CorpusSettings
    meshes: tuple[Path, ...]
    held_out: bool
    """Whether the exhibits' own lights, all pairs and the untextured control are used: for yardsticks."""
    device: str
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the lights, in the order of their index in a shard's facts."""
        return GENERATED if self.held_out else tuple(f"drawn-{k}" for k in range(self.settings.lights))

    @property
    def identity(self) -> str:
        """Shards belong together when this agrees: settings, meshes, and the version of the code."""
        meshes = {path.stem: sha256(path) for path in self.meshes}
        settings = self.settings.model_dump(mode="json")
        return fingerprint([settings, meshes, self.held_out, castex.__version__])


def make_corpus(job: CorpusJob, *, workers: int = 1) -> dict[str, Any]:
    """Render what is missing, write `corpus.json`, and return what it says.

    The bytes do not depend on the number of workers. Shards of other settings in the folder are removed.
    """
    work = shard_list(job.settings, [path.stem for path in job.meshes], everything=job.held_out)
    if not work:
        raise InputError("the corpus would be empty; its settings name no known mesh or material")
    _begin(job)
    # Lights first: every process needs them all.
    parts = [range(k, len(job.names), workers) for k in range(workers)]
    list(_spread(job, _lights, parts, workers))
    # Neighbours in the list share a mesh, so a batch rarely prepares more than one.
    size = math.ceil(len(work) / (6 * workers))
    batches = [work[start : start + size] for start in range(0, len(work), size)]
    started, progress, made = time.monotonic(), Progress("corpus", len(work)), list[Path]()
    for paths in _spread(job, _make, batches, workers):
        made += paths
        progress.update(len(made), paths[-1].stem)
    record = {
        "identity": job.identity,
        "settings": job.settings.model_dump(mode="json"),
        "held_out": job.held_out,
        "lights": list(job.names),
        "pictures": sum(_pictures(path) for path in made),
        "seconds": round(time.monotonic() - started, 1),
        "workers": workers,
        "device": job.device,
        "shards": {path.name: sha256(path) for path in sorted(made)},
    }
    write_json(job.folder / RECORD, record)
    return record


def _begin(job: CorpusJob) -> None:
    begun = job.folder / BEGUN
    if begun.exists() and read_json(begun)["identity"] == job.identity:
        return
    for folder in ("shards", "lights"):
        shutil.rmtree(job.folder / folder, ignore_errors=True)
    write_json(begun, {"identity": job.identity})


def _spread(
    job: CorpusJob, function: Callable[[CorpusJob, Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """The results in order, from as many processes as there are workers, or from this one."""
    if workers == 1:
        for item in items:
            yield function(job, item)
        return
    # Forked children would inherit the state of torch's and Embree's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(function, [job] * len(items), items)


def _make(job: CorpusJob, batch: list[Work]) -> list[Path]:
    lights = _lights(job, range(len(job.names)))
    files, studio, paths = {path.stem: path for path in job.meshes}, None, []
    for item in batch:
        if studio is None or studio.name != item.mesh:
            prepared = prepare(load_scene(files[item.mesh]), size=64, keep_uv=True)
            studio = Studio(item.mesh, prepared.mesh.to(job.device), lights, job.settings)
        paths.append(make_shard(studio, item, job.folder))
    return paths


def _lights(job: CorpusJob, numbers: range) -> list[EnvironmentLight]:
    lights = []
    for number in numbers:
        path = job.folder / "lights" / f"{job.names[number]}.safetensors"
        if not path.exists():
            if job.held_out:
                panorama = generated_panorama(job.names[number])
            else:
                panorama = drawn_panorama(number, seed=job.settings.seed)
            write_light(path, prefiltered(panorama, side=job.settings.light_side))
        lights.append(read_light(path).to(job.device))
    return lights


def _pictures(path: Path) -> int:
    with safe_open(path, framework="pt") as opened:
        return int(opened.get_slice("facts").get_shape()[0])
