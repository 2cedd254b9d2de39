"""Make a whole corpus with several processes, or go on with one that was interrupted."""

from __future__ import annotations

import math
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
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
from castex.training.corpus import Studio, Work, make_shard, shard_list, shard_path
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
    """Whether the exhibits' own lights, all pairs and the untextured control are used: for yardsticks and
    the judge."""
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

    The bytes do not depend on the number of workers, nor on torch's threads. Shards of other settings in the
    folder are removed; a shard whose bytes are not those that were recorded is made again.
    """
    work = shard_list(job.settings, [path.stem for path in job.meshes], everything=job.held_out)
    if not work:
        raise InputError("the corpus would be empty; its settings name no known mesh or material")
    made = _begin(job)
    missing = [item for item in work if shard_path(item, job.folder).name not in made]
    # Lights first: every process needs them all.
    list(_spread(job, _lights, [range(k, len(job.names), workers) for k in range(workers)], workers))
    # Neighbours in the list share a mesh, so a batch rarely prepares more than one.
    size = max(math.ceil(len(missing) / (6 * workers)), 1)
    batches = [missing[start : start + size] for start in range(0, len(missing), size)]
    started, progress = time.monotonic(), Progress("corpus", len(work), first=len(made))
    rendered = 0
    for shards in _spread(job, _make, batches, workers):
        made |= {name: digest for name, digest, _ in shards}
        rendered += sum(count for _, _, count in shards)
        write_json(job.folder / BEGUN, {"identity": job.identity, "shards": made})
        progress.update(len(made), shards[-1][0])
    record = {
        "identity": job.identity,
        "settings": job.settings.model_dump(mode="json"),
        "held_out": job.held_out,
        "lights": list(job.names),
        "pictures": sum(_pictures(shard_path(item, job.folder)) for item in work),
        "rendered": rendered,
        "seconds": round(time.monotonic() - started, 1),
        "workers": workers,
        "device": job.device,
        "shards": {name: made[name] for name in sorted(made)},
    }
    write_json(job.folder / RECORD, record)
    return record


def _begin(job: CorpusJob) -> dict[str, str]:
    """The hashes of the shards of this very corpus that are there already; all others are removed."""
    known: dict[str, str] = {}
    for name in (BEGUN, RECORD):
        path = job.folder / name
        told = read_json(path) if path.exists() else {}
        if told.get("identity") == job.identity:
            known |= told.get("shards", {})
    # From here on no record speaks of a corpus that is not finished.
    (job.folder / RECORD).unlink(missing_ok=True)
    shards = job.folder / "shards"
    if not known:
        for folder in (shards, job.folder / "lights"):
            if folder.exists():
                shutil.rmtree(folder)
    whole = {n: d for n, d in known.items() if (shards / n).is_file() and sha256(shards / n) == d}
    write_json(job.folder / BEGUN, {"identity": job.identity, "shards": whole})
    return whole


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in torch depend on the number of threads; a corpus must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _spread(
    job: CorpusJob, function: Callable[[CorpusJob, Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """The results in order, from as many processes as there are workers, or from this one."""
    if workers == 1:
        for item in items:
            with _one_thread():
                result = function(job, item)
            yield result
        return
    # Forked children would inherit the state of torch's and Embree's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield from pool.map(function, [job] * len(items), items)


def _make(job: CorpusJob, batch: list[Work]) -> list[tuple[str, str, int]]:
    """Name, hash and number of pictures of each shard of a batch, which is written."""
    lights = _lights(job, range(len(job.names)))
    files, studio, made = {path.stem: path for path in job.meshes}, None, list[tuple[str, str, int]]()
    for item in batch:
        if studio is None or studio.name != item.mesh:
            prepared = prepare(load_scene(files[item.mesh]), size=64, keep_uv=True)
            studio = Studio(item.mesh, prepared.mesh.to(job.device), lights, job.settings)
        path = make_shard(studio, item, job.folder)
        made.append((path.name, sha256(path), _pictures(path)))
    return made


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
