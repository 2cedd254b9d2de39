"""What this machine lacks for a configuration: one line and one remedy each. Nothing here opens a socket."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from castex.assets import AssetRow, chosen, read_sheet
from castex.config import load_config
from castex.errors import CastexError
from castex.fetch.files import recorded
from castex.fetch.models import model_folder
from castex.fetch.objaverse import open_cache
from castex.files import sha256
from castex.machine import cores, free_disk_bytes, memory_bytes
from castex.settings import Config, ModelSettings
from castex.settings.assets import FileSettings
from castex.weights import SUMS, read_sums, verify

Status = Literal["ok", "missing", "note"]
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
NEEDED_MEMORY, NEEDED_DISK = 2e9, 1e9
# An Objaverse object has about 10 MB on average.
OBJECT_BYTES = 10e6
GB = 1e9
REINSTALL = "install it again: rm -r .venv; make env"


@dataclass(frozen=True)
class Finding:
    """`missing`: the configuration cannot run before the remedy is followed. `note`: it can."""

    status: Status
    subject: str
    detail: str
    remedy: str = ""

    def line(self) -> str:
        """As it is printed: `[ok] subject: detail`, with the remedy after an arrow."""
        return f"[{self.status}] {self.subject}: {self.detail}" + (
            f" -> {self.remedy}" if self.remedy else ""
        )


def survey(configfile: Path | None = None) -> tuple[Finding, ...]:
    """`examine` for the configuration with this file on top; one that cannot be read is a finding too."""
    try:
        config = load_config(overlay=configfile)
    except CastexError as error:
        remedy = "correct that file" if configfile else "run it in a checkout, after make env"
        unread = Finding("missing", "configuration", str(error), remedy)
        return (*machine(Path(), NEEDED_DISK), *libraries(), gpu(False), unread)
    return examine(config, None if configfile is None else str(configfile))


def examine(config: Config, configfile: str | None = None) -> tuple[Finding, ...]:
    """Everything that the configuration needs, in the order in which a person would mend it.

    `configfile` is named in the remedies. Paths are relative to the working directory, as in the workflow.
    """
    rows, unread = _rows(config)
    overlay = f" --configfile {configfile}" if configfile else ""
    fetch = f"snakemake --cores 1 fetch_all{overlay}"
    cache = Path(config.cache)
    return (
        *machine(cache, _download_bytes(rows)),
        *libraries(),
        gpu(any(arm.device == "cuda" for arm in config.reconstruct.values())),
        *(model(name, settings, cache, fetch) for name, settings in config.models.items()),
        *(file(name, settings, cache, fetch) for name, settings in config.files.items()),
        *unread,
        *assets(config, rows, fetch),
        unknown_hashes(config, rows),
        cache_size(cache),
    )


def _download_bytes(rows: Sequence[AssetRow]) -> float:
    """A guess at what is to be downloaded, for the disk."""
    return NEEDED_DISK + sum(OBJECT_BYTES for row in rows if row.source == "objaverse")


def _rows(config: Config) -> tuple[tuple[AssetRow, ...], tuple[Finding, ...]]:
    """The assets of the configuration, or why there are none."""
    sheet = Path(config.assets.sheet)
    try:
        return chosen(read_sheet(sheet), config.assets), ()
    except CastexError as error:
        remedy = "correct `assets` or the sheet" if sheet.is_file() else "run it in the root of the checkout"
        return (), (Finding("missing", "asset sheet", str(error), remedy),)


def machine(cache: Path, disk_needed: float) -> Iterator[Finding]:
    """Python, cores, memory and disk."""
    version = ".".join(map(str, sys.version_info[:3]))
    fits = OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON
    yield _judged(fits, "Python", version, "use Python 3.11 to 3.13: make env PYTHON=python3.12")
    yield Finding("ok", "cores", f"{cores():g}")
    memory = memory_bytes()
    detail = "unknown" if memory is None else f"{memory / GB:.1f} GB"
    enough = memory is None or memory >= NEEDED_MEMORY
    yield _judged(
        enough, "memory", detail, f"{NEEDED_MEMORY / GB:.0f} GB are needed: raise the container's limit"
    )
    disk = free_disk_bytes(cache)
    remedy = (
        f"about {disk_needed / GB:.0f} GB are needed: free some, or set `cache` to a folder on another disk"
    )
    yield _judged(disk >= disk_needed, "disk", f"{disk / GB:.1f} GB free for {cache}", remedy)


def libraries(load: Callable[[str], object] = importlib.import_module) -> Iterator[Finding]:
    """Libraries with compiled parts, really loaded; and optional programs."""
    for name, use in (("torch", "everything"), ("embreex", "rendering on the CPU"), ("xatlas", "unwrapping")):
        problem = _cannot_load(name, load)
        yield _judged(not problem, name, problem or f"loads; for {use}", REINSTALL)
    problem = _cannot_load("OpenEXR", load)
    yield _judged(
        not problem, "OpenEXR", problem or "loads; for .exr panoramas", "pip install openexr", "note"
    )
    found = shutil.which("ffmpeg")
    yield _judged(
        found is not None, "ffmpeg", found or "not there; no MP4 turntables", "install ffmpeg", "note"
    )


def _cannot_load(name: str, load: Callable[[str], object]) -> str:
    """Why a library does not load, or nothing."""
    try:
        load(name)
    except Exception as error:  # a broken wheel raises whatever its own code comes across
        return f"does not load ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return ""


def gpu(needed: bool, load: Callable[[str], object] = importlib.import_module) -> Finding:
    """The CUDA device, and whether the optional rasteriser for it loads."""
    if problem := _cannot_load("torch", load):
        return Finding("missing", "GPU", f"unknown: torch {problem}", REINSTALL)
    import torch

    worse: Status = "missing" if needed else "note"
    if not torch.cuda.is_available():
        remedy = "run on a machine with a CUDA device" if needed else ""
        return Finding(worse, "GPU", "no CUDA device" + ("" if needed else "; none is needed"), remedy)
    detail = f"{torch.cuda.get_device_name()}, {torch.cuda.get_device_properties(0).total_memory / GB:.0f} GB"
    if problem := _cannot_load("nvdiffrast", load):
        remedy = "optional: install nvdiffrast from its tag (its licence is not commercial)"
        return Finding("note", "GPU", f"{detail}; nvdiffrast {problem}, rendering stays on the CPU", remedy)
    return Finding("ok", "GPU", f"{detail}; nvdiffrast loads")


def model(name: str, settings: ModelSettings, cache: Path, fetch: str) -> Finding:
    """Is a model here, and every byte as recorded?"""
    folder, subject = model_folder(settings, cache), f"model {name}"
    if settings.folder is None and not (folder / SUMS).is_file():
        page = settings.gate or f"https://huggingface.co/{settings.repository}"
        return Finding(
            "missing",
            subject,
            f"{settings.repository} is not in {cache} (licence: {settings.licence})",
            f"accept its licence at {page} if it asks for one, then {fetch}",
        )
    if settings.folder is not None and not settings.needed and not folder.exists():
        detail = f"{folder} is not there; the exhibits that need it cannot be asked for"
        return Finding("note", subject, detail, "make train-mini, then make ship-models")
    try:
        count = len(verify(folder).files)
    except CastexError as error:
        remedy = fetch if settings.folder is None else f"restore {folder} from the repository"
        return Finding("missing", subject, str(error), remedy)
    return Finding("ok", subject, f"{count} files checked in {folder} (licence: {settings.licence})")


def file(name: str, settings: FileSettings, cache: Path, fetch: str) -> Finding:
    """Is a file here, and the one that is known?"""
    path, subject = Path(settings.local or cache / settings.path), f"file {name}"
    if not path.is_file():
        gate = f"accept its licence at {settings.gate}, then " if settings.gate else ""
        return Finding("missing", subject, f"{path} is not there (licence: {settings.licence})", gate + fetch)
    digest, known = sha256(path), settings.sha256 or recorded(cache / settings.path)
    if (known is not None and digest != known) or not digest.startswith(settings.sha256_begins or ""):
        return Finding(
            "missing", subject, f"{path} is another file than the one known", f"remove it, then {fetch}"
        )
    state = "checked" if known else "there; its hash is recorded by the next fetch"
    return Finding("ok", subject, f"{path} is {state} (licence: {settings.licence})")


def assets(config: Config, rows: Sequence[AssetRow], fetch: str) -> Iterator[Finding]:
    """Are the meshes here? Counted by source; only generated ones are checked byte for byte."""
    generated = [row for row in rows if row.source == "mini" and not row.missing]
    if generated:
        yield _generated(generated, Path("data/mini/meshes"))
    uids = [row.uid for row in rows if row.uid is not None and not row.missing]
    if uids:
        cache = open_cache(config.objaverse, Path(config.cache), config.download)
        absent, subject = cache.absent(uids), "Objaverse"
        detail = f"{len(uids) - len(absent)} of {len(uids)} meshes are here"
        remedy = f"{fetch}, or supply the files: --config 'objaverse={{supplied: DIR}}'"
        yield _judged(not absent, subject, detail, remedy)
    gone = [row.asset for row in rows if row.missing]
    if gone:
        yield Finding("note", "assets", f"the sheet calls {len(gone)} of {len(rows)} missing")


def _generated(rows: Sequence[AssetRow], folder: Path) -> Finding:
    subject, remedy = "generated meshes", f"restore {folder} from the repository"
    if not (folder / SUMS).is_file():
        return Finding("missing", subject, f"there is no {folder / SUMS}", remedy)
    sums = read_sums(folder)
    names = [f"{row.asset}.glb" for row in rows]
    right = {f"{row.asset}.glb": {sums.get(f"{row.asset}.glb"), row.sha256} - {None} for row in rows}
    bad = [name for name in names if not (folder / name).is_file() or {sha256(folder / name)} != right[name]]
    detail = f"{len(names) - len(bad)} of {len(names)} checked in {folder}"
    return _judged(not bad, subject, detail + (f"; wrong or absent: {bad[0]}" if bad else ""), remedy)


def unknown_hashes(config: Config, rows: Sequence[AssetRow]) -> Finding:
    """How many files will be trusted at their first download, because nobody has published a hash."""
    models = sum(digest is None for settings in config.models.values() for digest in settings.files.values())
    files = sum(settings.sha256 is None and settings.local is None for settings in config.files.values())
    objects = sum(row.source == "objaverse" and row.sha256 is None for row in rows)
    total = models + files + objects
    if not total:
        return Finding("ok", "unknown hashes", "none")
    detail = f"{total} (models {models}, files {files}, objects {objects}): recorded at first download"
    return Finding("note", "unknown hashes", detail)


def cache_size(cache: Path) -> Finding:
    """What the cache holds, with what an interrupted download left in it."""
    files = [path for path in cache.rglob("*") if path.is_file()]
    partial = [path for path in files if path.name.endswith(".partial")]
    detail = f"{len(files)} files, {sum(path.stat().st_size for path in files) / GB:.2f} GB in {cache}"
    if partial:
        return Finding(
            "note", "cache", f"{detail}; {len(partial)} unfinished", "the next fetch goes on with them"
        )
    return Finding("ok", "cache", detail)


def _judged(good: bool, subject: str, detail: str, remedy: str, worse: Status = "missing") -> Finding:
    return Finding("ok", subject, detail) if good else Finding(worse, subject, detail, remedy)
