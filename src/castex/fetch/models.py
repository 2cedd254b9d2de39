"""Models from the Hugging Face Hub, at their pinned revisions."""

from __future__ import annotations

import os
from pathlib import Path

from castex.errors import WeightsError
from castex.files import sha256
from castex.settings import ModelSettings
from castex.weights import SUMS, ModelFolder, check, read_sums, verify, write_sums


def model_folder(settings: ModelSettings, cache: Path) -> Path:
    """Where a model lies: its local folder, or `<cache>/models/<owner>--<name>/<revision>`.

    The revision is part of the path, so another revision never passes for this one.
    """
    if settings.folder is not None:
        return Path(settings.folder)
    assert settings.repository is not None and settings.revision is not None, "settings are validated"
    return cache / "models" / settings.repository.replace("/", "--") / settings.revision


def fetch_model(settings: ModelSettings, cache: Path) -> ModelFolder:
    """The checked folder of a model; files that are missing or altered in the cache are downloaded again.

    Known hashes are compared; unknown ones are recorded at the first download and compared ever after.
    """
    folder = model_folder(settings, cache)
    if settings.folder is not None:
        return verify(folder)
    recorded = read_sums(folder) if (folder / SUMS).is_file() else {}
    expected = {name: digest or recorded.get(name) for name, digest in settings.files.items()}
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file() or (digest is not None and sha256(path) != digest):
            path.unlink(missing_ok=True)
            _download(settings, name, folder)
    check(folder, {name: digest for name, digest in expected.items() if digest is not None})
    write_sums(folder, list(settings.files))
    return verify(folder)


def _download(settings: ModelSettings, name: str, folder: Path) -> None:
    from huggingface_hub import constants, hf_hub_download

    try:
        hf_hub_download(
            repo_id=str(settings.repository), filename=name, revision=settings.revision, local_dir=folder
        )
    except Exception as error:
        # Gated, missing, offline, a broken proxy, a dropped connection: the library raises errors of half a
        # dozen packages, and the remedies are the same for all.
        offline = " (HF_HUB_OFFLINE is set: unset it)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
        page = settings.gate or f"{constants.ENDPOINT}/{settings.repository}"
        raise WeightsError(
            f"{name} of {settings.repository} at {settings.revision} could not be downloaded{offline}: "
            f"accept its licence at {page} if it asks for one, or put the "
            f"files {', '.join(settings.files)} into {folder} and run the same command again"
        ) from error
