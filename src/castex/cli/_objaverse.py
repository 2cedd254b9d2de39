"""Arguments that the verbs about Objaverse share."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from castex.errors import InputError

if TYPE_CHECKING:
    from castex.fetch.objaverse import ObjaverseCache

KEYS = {"assets", "download", "objaverse"}


def add_cache_arguments(parser: argparse.ArgumentParser) -> None:
    """Where Objaverse's files come from and where they rest."""
    parser.add_argument(
        "--config",
        metavar="JSON",
        help="the keys assets, download and objaverse of the configuration; by default those of the paper",
    )
    parser.add_argument("--cache", type=Path, default=Path("results/cache"), help="folder for downloads")
    parser.add_argument(
        "--objaverse-cache",
        type=Path,
        metavar="DIR",
        help="files that you supply: Objaverse's own layout, or a flat folder of <uid>.glb; never changed",
    )


def given_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keys `assets`, `download` and `objaverse`, from the command line or from the paper scale."""
    from castex.config import load_config

    if arguments.config is None:
        return load_config("paper").model_dump(mode="json", include=KEYS)
    try:
        found = json.loads(arguments.config)
    except json.JSONDecodeError as error:
        raise InputError(f"--config is no JSON ({error})") from error
    if not isinstance(found, dict) or found.keys() != KEYS:
        raise InputError(f"--config must have the keys {', '.join(sorted(KEYS))}")
    return found


def cache_of(arguments: argparse.Namespace, config: dict[str, Any]) -> ObjaverseCache:
    """The cache that the arguments and the configuration describe."""
    from castex.fetch.objaverse import open_cache
    from castex.settings.assets import DownloadSettings, ObjaverseSettings

    settings = ObjaverseSettings.model_validate(config["objaverse"])
    if arguments.objaverse_cache is not None:
        settings = settings.model_copy(update={"supplied": str(arguments.objaverse_cache)})
    return open_cache(settings, arguments.cache, DownloadSettings.model_validate(config["download"]))
