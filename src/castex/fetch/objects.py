"""One asset of the sheet as a checked file with author and licence: the record that later stages read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from castex.assets import AssetRow, read_lock
from castex.errors import InputError
from castex.fetch.attribution import of_glb
from castex.fetch.download import Expected
from castex.fetch.files import verified
from castex.fetch.objaverse import GLB, INDEX, ObjaverseCache, fetch_index
from castex.fetch.web import NotThere, Unreachable
from castex.files import write_text
from castex.scene import Attribution
from castex.weights import SUMS, read_sums

LEDGER = ("asset", "uid", "title", "author", "licence", "page", "bytes", "sha256", "missing", "reason")


def fetch_bundled(row: AssetRow, folder: Path) -> dict[str, Any]:
    """The lock of a generated mesh that ships with the package, compared with SHA256SUMS and the sheet.

    InputError when the file, the record of its folder, and what the sheet knows do not agree.
    """
    name = f"{row.asset}.glb"
    sums = read_sums(folder) if (folder / SUMS).is_file() else {}
    if name not in sums:
        raise InputError(f"{folder / SUMS} knows no {name}; restore data/mini/meshes from the repository")
    path = folder / name
    if row.sha256 not in (None, sums[name]):
        raise InputError(
            f"{folder / SUMS} and the asset sheet state different hashes of {name}; restore both from the "
            "repository, or ship the meshes again"
        )
    digest = verified(path, Expected(sha256=sums[name], bytes=row.bytes, check=GLB))
    return _lock(row, path=path, digest=digest, attribution=of_glb("", path))


def fetch_asset(row: AssetRow, index: Mapping[str, Any] | None, cache: ObjaverseCache) -> dict[str, Any]:
    """The lock of an Objaverse object; `index` is what `fetch_index` returned, for it or for many.

    An object that the sheet calls missing, that Objaverse does not know, or that is gone from the server
    gives a lock that says so with the reason: the others go on, and no later stage takes it for present.
    Such a lock stays until somebody removes it, or the sheet says what it says.
    A file whose hash is in the sheet, or was recorded at its first download, must have it.
    """
    assert row.uid is not None, "rows are validated"
    if row.missing:
        return _lock(row, reason=row.reason)
    if index is None or (index["index"] is not None and row.uid not in index["objects"]):
        # It came to the selection after the index was made.
        index = fetch_index([row.uid], cache)
    entry = index["objects"].get(row.uid)
    if entry is None and index["index"] is not None and cache.absent([row.uid]):
        return _lock(row, reason=f"{INDEX} does not know the uid")
    place = None if entry is None else entry["place"]
    url = f"{cache.base_url}/{place}" if place else ""
    try:
        path, digest = cache.mesh(row.uid, place, Expected(sha256=row.sha256, bytes=row.bytes))
    except NotThere as error:
        return _lock(row, url=url, reason=str(error))
    except Unreachable as error:
        raise cache.needed(error, [], [row.uid], 1) from error
    known = {} if entry is None else {key: value for key, value in entry.items() if key != "place"}
    # The file tells what the index leaves open; the index is right where both speak.
    told = asdict(of_glb(row.uid, path))
    attribution = Attribution(**{key: known.get(key) or told[key] for key in told})
    return _lock(row, path=path, digest=digest, url=url, attribution=attribution)


def _lock(
    row: AssetRow,
    *,
    path: Path | None = None,
    digest: str = "",
    url: str = "",
    attribution: Attribution | None = None,
    reason: str = "",
) -> dict[str, Any]:
    """Everything that later stages need to know of one asset; `castex.assets.LOCK_FIELDS` are its keys."""
    who = attribution or Attribution(uid=row.uid or "")
    return {
        "asset": row.asset,
        "source": row.source,
        "uid": who.uid,
        "front": row.front,
        "missing": path is None,
        "reason": reason,
        "path": "" if path is None else str(path),
        "sha256": digest,
        "bytes": 0 if path is None else path.stat().st_size,
        "url": url,
        "page": who.source,
        "title": who.title,
        "author": who.author,
        "licence": who.licence,
    }


def write_ledger(path: Path, locks: Sequence[Path]) -> list[str]:
    """Write one table of all assets with title, author, licence and hash; return the missing ones' names."""
    rows = sorted((read_lock(lock) for lock in locks), key=lambda lock: str(lock["asset"]))
    lines = ["\t".join(_cell(row[column]) for column in LEDGER) for row in rows]
    write_text(path, "\n".join(["\t".join(LEDGER), *lines]) + "\n")
    return [str(row["asset"]) for row in rows if row["missing"]]


def _cell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
