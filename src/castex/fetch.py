"""Downloads: the only module that opens a socket."""

from __future__ import annotations

import os
from pathlib import Path

from castex.errors import WeightsError
from castex.settings import ModelSettings
from castex.weights import SUMS, ModelFolder, check, read_sums, verify, write_sums


def fetch_model(settings: ModelSettings, cache: Path) -> ModelFolder:
    """The checked folder of a model: its local folder, or its files in `cache`, downloaded where missing."""
    if settings.folder is not None:
        return verify(Path(settings.folder))
    names = list(settings.files)
    if not all((cache / name).is_file() for name in names):
        _download(settings, cache)
    known = {name: digest for name, digest in settings.files.items() if digest is not None}
    check(cache, known)
    if (cache / SUMS).is_file():
        # An earlier download recorded the hashes that the configuration does not know.
        check(cache, {name: digest for name, digest in read_sums(cache).items() if name in names})
    write_sums(cache, names)
    return verify(cache)


def _download(settings: ModelSettings, cache: Path) -> None:
    from huggingface_hub import constants, hf_hub_download

    page = f"{constants.ENDPOINT}/{settings.repository}"
    for name in settings.files:
        try:
            hf_hub_download(
                repo_id=str(settings.repository), filename=name, revision=settings.revision, local_dir=cache
            )
        except OSError as error:
            # huggingface_hub's own errors (gated, not found, offline) are all OSErrors.
            offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
            raise WeightsError(
                f"{name} of {settings.repository} at {settings.revision} could not be downloaded{offline}: "
                f"accept its licence at {page} if it asks for one, or put the files "
                f"{', '.join(settings.files)} into {cache} and run the same command again"
            ) from error
