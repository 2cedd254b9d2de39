"""Models from the Hugging Face Hub: at their pinned revisions, or at one that is recorded at first download.

Each source of a model, its repository or a mirror, has a folder of its own in the cache. Beside the files lie
SHA256SUMS and, where the configuration does not give all 40 digits of a commit, `source.json` with them.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from castex.errors import WeightsError
from castex.fetch.partial import turn
from castex.files import read_json, sha256, write_json
from castex.settings.models import READABLE, ModelSettings
from castex.weights import SUMS, ModelFolder, check, read_sums, recordable, shards_of, verify, write_digests

COMMIT_DIGITS = 40
UNPINNED = "main"
RECORD = "source.json"


@dataclass(frozen=True, slots=True)
class Source:
    """One repository that may give a model."""

    repository: str
    revision: str | None
    """All or the first digits of its commit; None for the newest at the first download."""
    folder: Path


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at one commit, and the hashes that it announces for large files."""

    revision: str
    files: dict[str, str | None]


def sources(settings: ModelSettings, cache: Path) -> list[Source]:
    """Where a model may come from, in order, each with `<cache>/models/<owner>--<name>/<revision>`.

    The revision is part of the path, so another revision never passes for this one.
    """
    assert settings.repository is not None, "settings are validated"
    revisions = {settings.repository: settings.revision}
    return [
        Source(
            repository,
            revisions.get(repository),
            cache / "models" / repository.replace("/", "--") / (revisions.get(repository) or UNPINNED),
        )
        for repository in (settings.repository, *settings.mirrors)
    ]


def model_folder(settings: ModelSettings, cache: Path) -> Path:
    """Where a model lies, or will: its local folder, or that of the source that it was fetched from."""
    if settings.folder is not None:
        return Path(settings.folder)
    folders = [source.folder for source in sources(settings, cache)]
    return next((folder for folder in folders if (folder / SUMS).is_file()), folders[0])


def fetch_model(settings: ModelSettings, cache: Path) -> ModelFolder:
    """The checked folder of a model; files that are missing or altered in the cache are downloaded again.

    Known hashes are compared; unknown ones are recorded at the first download and compared ever after.
    Sources are tried in order; what is complete in the cache needs no network. WeightsError, in one sentence,
    when no source gives the model.
    """
    if settings.folder is not None:
        return verify(Path(settings.folder))
    candidates = sources(settings, cache)
    # A model that came from a mirror once is not asked for anew elsewhere.
    candidates.sort(key=lambda source: not (source.folder / SUMS).is_file())
    refusals: list[str] = []
    for source in candidates:
        try:
            return _from_source(settings, source)
        except _Refusal as refusal:
            refusals.append(str(refusal))
    first = candidates[0]
    offline = " (HF_HUB_OFFLINE is set: unset it)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
    page = settings.gate or f"{_endpoint()}/{first.repository}"
    raise WeightsError(
        f"{'; '.join(refusals)}{offline}: accept its licence at {page} if it asks for one, or put the "
        f"files {', '.join(settings.files)} into {first.folder} and run the same command again"
    )


class _Refusal(Exception):
    """A source did not give a file; another one may."""


def _from_source(settings: ModelSettings, source: Source) -> ModelFolder:
    source.folder.mkdir(parents=True, exist_ok=True)
    # Two models may be parts of one repository; they share its folder and take turns.
    with turn(source.folder / f".{SUMS}.partial"):
        recorded = read_sums(source.folder) if (source.folder / SUMS).is_file() else {}
        names, announced, revision = _wanted(settings, source, recorded)
        known = {n: settings.files.get(n) or recorded.get(n) or announced.get(n) for n in names}
        for name in names:
            _bring(source, revision, name, known.get(name))
        for name in _shards(source, names):
            known.setdefault(name, recorded.get(name) or announced.get(name))
            _bring(source, revision, name, known[name])
        check(source.folder, {name: digest for name, digest in known.items() if digest is not None})
        files = {name: digest or sha256(source.folder / name) for name, digest in known.items()}
        write_digests(source.folder, recorded | files)
    return ModelFolder(source.folder, files, source.repository, revision)


def _wanted(
    settings: ModelSettings, source: Source, recorded: dict[str, str]
) -> tuple[list[str], dict[str, str | None], str | None]:
    """Names of the files, hashes that the server announces, the commit; asks only for what is not known."""
    exact = [name for name in settings.files if "*" not in name]
    patterns = [name for name in settings.files if "*" in name]
    revision = _known_revision(source)
    if revision is not None and not patterns:
        return exact, {}, revision
    if set(exact) <= recorded.keys() and all(_matching(recorded, pattern) for pattern in patterns):
        return [*exact, *_expanded(recorded, patterns)], {}, revision
    try:
        listing = _listed(source, revision)
    except _Refusal:
        here = {path.relative_to(source.folder).as_posix() for path in source.folder.rglob("*")}
        if not set(exact) <= here or not all(_matching(here, pattern) for pattern in patterns):
            raise
        # Somebody brought the files by hand.
        return [*exact, *_expanded(here, patterns)], {}, revision
    if revision is None:
        write_json(source.folder / RECORD, {"repository": source.repository, "revision": listing.revision})
    missing = [name for name in settings.files if not _matching(listing.files, name)]
    if missing:
        raise _Refusal(f"{source.repository} at {listing.revision} holds no {missing[0]}")
    return [*exact, *_expanded(listing.files, patterns)], listing.files, listing.revision


def _known_revision(source: Source) -> str | None:
    """The whole commit: from the configuration, or as it was recorded at the first download."""
    if source.revision is not None and len(source.revision) == COMMIT_DIGITS:
        return source.revision
    path = source.folder / RECORD
    if not path.is_file():
        return None
    record = read_json(path)
    found = record.get("revision") if isinstance(record, dict) else None
    if not isinstance(found, str) or not found.startswith(source.revision or ""):
        raise WeightsError(f"{path} does not name a commit that begins with {source.revision}; remove it")
    return found


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    """Names that a pattern stands for: in the same folder, of a kind that is read, no way out of it."""
    depth = pattern.count("/")
    return sorted(
        name
        for name in names
        if name.count("/") == depth
        and fnmatch.fnmatchcase(name, pattern)
        and name.endswith(READABLE)
        and recordable(name)
    )


def _expanded(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    known = list(names)
    return list(dict.fromkeys(name for pattern in patterns for name in _matching(known, pattern)))


def _shards(source: Source, names: Sequence[str]) -> list[str]:
    """The shards that the indices among the files name."""
    return [
        (Path(name).parent / shard).as_posix()
        for name in names
        if ".safetensors.index." in name
        for shard in shards_of(source.folder / name)
    ]


def _bring(source: Source, revision: str | None, name: str, digest: str | None) -> None:
    """Download a file that is not here, or is not what it should be."""
    path = source.folder / name
    if path.is_file() and (digest is None or sha256(path) == digest):
        return
    path.unlink(missing_ok=True)
    _download(replace(source, revision=revision), name)


def _download(source: Source, name: str) -> None:
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(
            repo_id=source.repository, filename=name, revision=source.revision, local_dir=source.folder
        )
    except Exception as error:
        # Gated, missing, offline, a broken proxy, a dropped connection: the library raises errors of half a
        # dozen packages, and the remedies are the same for all.
        at = source.revision or source.repository
        raise _Refusal(
            f"{name} of {source.repository} at {at} could not be downloaded{_why(error)}"
        ) from error


def _listed(source: Source, revision: str | None) -> Listing:
    """What the repository holds at a commit; an abbreviated one is looked up, none means the newest."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=_endpoint())
    try:
        info = api.model_info(source.repository, revision=revision, files_metadata=True)
        if not str(info.sha).startswith(source.revision or ""):
            commits = [commit.commit_id for commit in api.list_repo_commits(source.repository)]
            found = [commit for commit in commits if commit.startswith(source.revision or "")]
            if len(found) != 1:
                raise _Refusal(f"{source.repository} has {len(found)} commits {source.revision}…")
            info = api.model_info(source.repository, revision=found[0], files_metadata=True)
    except _Refusal:
        raise
    except Exception as error:  # as for a download
        at = source.revision or "its newest commit"
        raise _Refusal(f"{source.repository} at {at} could not be downloaded{_why(error)}") from error
    return Listing(str(info.sha), {file.rfilename: _announced(file) for file in info.siblings or []})


def _announced(file: Any) -> str | None:
    return None if file.lfs is None else str(file.lfs.sha256)


def _why(error: Exception) -> str:
    """What is known of the reason, in brackets."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return " (its licence has not been accepted, or no access token is set)"
    if isinstance(error, errors.RepositoryNotFoundError):
        return " (there is no such repository any more, or it is not public)"
    if isinstance(error, errors.RevisionNotFoundError):
        return " (it has no such commit)"
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return " (it has no such file)"
    return ""


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)
