"""Objaverse on this disk: the layout of the `objaverse` package, filled by our own downloads.

The package knows paths and annotations but has no base address, timeout, resumption or checksum, and leaves
truncated files behind. So every file is put where it looks first, and it then opens no socket.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from castex.errors import InputError
from castex.fetch.attribution import of_annotation
from castex.fetch.content import check_content
from castex.fetch.download import Expected
from castex.fetch.files import bring, verified
from castex.fetch.web import DownloadError, Unreachable, host
from castex.files import copy
from castex.settings.assets import DownloadSettings, ObjaverseSettings

INDEX = "object-paths.json.gz"
GZIP = Expected(check=functools.partial(check_content, suffix=".gz"))
GLB = functools.partial(check_content, suffix=".glb")
NAMED = 3


@dataclass(frozen=True)
class ObjaverseCache:
    """The folder that the package reads, and where its files may come from."""

    folder: Path
    supplied: Path | None
    """Somebody's own files, in the same layout or flat; never written to."""
    base_url: str
    patience: DownloadSettings

    def file(self, name: str) -> tuple[Path, str]:
        """The index or a metadata shard in the package's layout, whole and unpackable, and its SHA-256.

        A supplied one is copied into the cache, because the package reads one folder only.
        """
        path = self.folder / name
        offered = None if self.supplied is None else self.supplied / name
        if offered is not None and offered.is_file() and not path.is_file():
            verified(offered, GZIP)
            copy(offered, path)
        return bring([f"{self.base_url}/{name}"], path, GZIP, self.patience)

    def mesh(self, uid: str, place: str | None, expected: Expected) -> tuple[Path, str]:
        """The object's GLB file, checked, and its SHA-256; `place` is its path in the index."""
        local = self._found(self.supplied, uid)
        if local is None and place is None:
            local = self._found(self.folder, uid)
            if local is None:
                raise InputError(f"the place of {uid}.glb is unknown without {INDEX}; run `fetch_objaverse`")
        return bring(
            [f"{self.base_url}/{place}"],
            self.folder / (place or f"{uid}.glb"),
            replace(expected, check=GLB),
            self.patience,
            local=local,
            record_as=self.folder / "sums" / f"{uid}.glb",
        )

    def absent(self, uids: Iterable[str]) -> list[str]:
        """The objects whose meshes are neither supplied nor in the cache."""
        folders = (self.supplied, self.folder)
        return [uid for uid in uids if all(self._found(folder, uid) is None for folder in folders)]

    @staticmethod
    def _found(folder: Path | None, uid: str) -> Path | None:
        if folder is None:
            return None
        candidates = [folder / f"{uid}.glb", *sorted(folder.glob(f"glbs/*/{uid}.glb"))]
        return next((path for path in candidates if path.is_file()), None)

    def needed(self, error: DownloadError, files: Sequence[str], uids: Sequence[str], of: int) -> Unreachable:
        """One sentence for want of a network: the host, what is missing, how to supply it."""
        named = ", ".join(f"{uid}.glb" for uid in uids[:NAMED]) + (", …" if len(uids) > NAMED else "")
        meshes = [f"{len(uids)} of {of} meshes ({named})"] if uids else []
        return Unreachable(
            f"{host(self.base_url)} is needed and cannot be reached; missing in {self.folder}: "
            f"{', '.join([*files, *meshes])}; fetch where there is a network, or supply the files with "
            "`--objaverse-cache DIR` (in the workflow: --config 'objaverse={supplied: DIR}'); the reason "
            f"was: {error}"
        )


def open_cache(settings: ObjaverseSettings, cache: Path, patience: DownloadSettings) -> ObjaverseCache:
    """The Objaverse files below the common cache, or where the settings say."""
    supplied = None if settings.supplied is None else Path(settings.supplied)
    if supplied is not None and not supplied.is_dir():
        raise InputError(f"objaverse.supplied: there is no folder {supplied}; correct the path")
    folder = cache / "objaverse" if settings.cache is None else Path(settings.cache)
    return ObjaverseCache(folder, supplied, settings.base_url.rstrip("/"), patience)


def fetch_index(uids: Sequence[str], cache: ObjaverseCache) -> dict[str, Any]:
    """What Objaverse says of these objects: `index` (its hash) and `objects` (uid -> place, attribution).

    An object that Objaverse does not know has the value None. Where there is no network, but every mesh is
    at hand, `index` is None and `objects` empty: attribution then comes from the files themselves.
    """
    files = [INDEX]
    try:
        _, digest = cache.file(INDEX)
        places = _places(cache.folder, uids)
        files = [f"metadata/{shard}.json.gz" for shard in sorted({p.split("/")[1] for p in places.values()})]
        for name in files:
            cache.file(name)
    except Unreachable as error:
        absent = cache.absent(uids)
        if not absent:
            return {"index": None, "objects": {}}
        files = [name for name in files if not (cache.folder / name).is_file()]
        raise cache.needed(error, files[:NAMED], absent, len(uids)) from error
    records = _package(cache.folder).load_annotations(list(places))
    objects = {
        uid: {"place": places[uid], **asdict(of_annotation(uid, records.get(uid, {})))} for uid in places
    }
    return {"index": digest, "objects": {uid: objects.get(uid) for uid in sorted(uids)}}


def _places(folder: Path, uids: Sequence[str]) -> dict[str, str]:
    """Path of each object below the dataset's root, for those that the index knows."""
    index = _package(folder)._load_object_paths()
    places = {uid: index[uid] for uid in uids if uid in index}
    for uid, place in places.items():
        # It becomes a path on this disk and a part of an address.
        if not isinstance(place, str) or not re.fullmatch(rf"glbs/\d{{3}}-\d{{3}}/{uid}\.glb", place):
            raise InputError(f"{folder / INDEX} puts {uid} at {place!r}; remove the file, and fetch it again")
    return places


def _package(folder: Path) -> Any:
    """The `objaverse` package, looking into `folder`: it has no public setting for that."""
    import objaverse

    objaverse._VERSIONED_PATH = str(folder)
    return objaverse
