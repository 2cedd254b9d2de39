"""Model folders: found, checked byte for byte, recorded, and taken apart.

A folder carries `SHA256SUMS` (the format of the `sha256sum` command). Shipped folders have it from the
start; a downloaded one gets it at first download and is verified against it ever after. Its layout is that of
`save_pretrained`: one network in the folder itself, or the parts of a pipeline in subfolders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castex.errors import InputError, WeightsError
from castex.files import fingerprint, sha256, write_text

SUMS = "SHA256SUMS"
# Weights in half precision bear this in their names where both kinds lie side by side.
VARIANTS = (None, "fp16")
# What may lie beside a network without being listed: notes that no library reads. Of dot files none is read.
NOTES = {
    SUMS,
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "README.md",
    "loss.csv",
    "samples.png",
    "source.json",
    "training.json",
    "yardstick.json",
}
# The one folder inside a tokenizer's that transformers looks into.
TEMPLATES = "additional_chat_templates"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A checked folder: where it is, the SHA-256 of each file in it, and where it came from, if known."""

    path: Path
    files: dict[str, str]
    repository: str | None = None
    revision: str | None = None

    def identity(self, *subfolders: str) -> str:
        """A string that changes with any byte of the files, or of those in some subfolders."""
        inside = tuple(f"{name}/" for name in subfolders) or ("",)
        return fingerprint({name: sha for name, sha in self.files.items() if name.startswith(inside)})


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a model folder, every file of which was checked."""

    path: Path
    config: dict[str, Any]
    variant: str | None
    """What stands before `.safetensors` in the names of its weights; None for nothing."""


def recordable(name: str) -> bool:
    """Whether a checksum record may hold this path: plain characters, and no way out of the folder."""
    return NAME.fullmatch(name) is not None and not {"", ".", ".."} & set(name.split("/"))


def write_sums(folder: Path, names: list[str]) -> None:
    """Record the hashes of `names` in the folder's SHA256SUMS; InputError for a name that cannot be read."""
    _check_names(folder, names)
    write_digests(folder, {name: sha256(folder / name) for name in names})


def write_digests(folder: Path, digests: dict[str, str]) -> None:
    """Record known hashes in the folder's SHA256SUMS; InputError for a name that cannot be read."""
    _check_names(folder, digests)
    write_text(folder / SUMS, "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)))


def _check_names(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if not recordable(name):
            raise InputError(
                f"{folder} holds a file {name!r}, which {SUMS} cannot list: names are letters, digits, '.', "
                "'_' and '-', and begin with a letter, a digit or '_'; rename or remove it"
            )


def read_sums(folder: Path) -> dict[str, str]:
    """The recorded hashes by file name; WeightsError when there is no readable record."""
    path = folder / SUMS
    if not path.is_file():
        raise WeightsError(f"{folder} has no {SUMS}; fetch the model again, or give another folder")
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None or not recordable(match[2]):
            raise WeightsError(f"{path} holds a line that is no checksum: {line[:80]!r}")
        found[match[2]] = match[1]
    return found


def verify(folder: Path) -> ModelFolder:
    """Check every recorded file of a model folder; WeightsError names the first bad one."""
    if not folder.is_dir():
        raise WeightsError(f"there is no model folder at {folder}; fetch the model or correct the path")
    files = read_sums(folder)
    check(folder, files)
    return ModelFolder(folder, files)


def check(folder: Path, files: dict[str, str]) -> None:
    """Compare files with the hashes that they must have."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{path} is missing; fetch the model again")
        actual = sha256(path)
        if actual != expected:
            raise WeightsError(
                f"{path} is altered or truncated: SHA-256 {actual[:12]}… in place of {expected[:12]}…; "
                "fetch the model again"
            )


def locate(path: Path) -> ModelFolder:
    """The checked folder behind a path: a model folder, or a lock file of `fetch`."""
    if path.suffix != ".json":
        return verify(path)
    folder = read_lock(path)
    check(folder.path, folder.files)
    return folder


def read_lock(path: Path) -> ModelFolder:
    """What `fetch` recorded of one model, without looking at the files themselves."""
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        source = [None if lock.get(key) is None else str(lock[key]) for key in ("repository", "revision")]
        return ModelFolder(Path(lock["folder"]), dict(lock["files"]), *source)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path} is no lock file that names a folder and its files; run the rule `fetch` again"
        ) from error


def find_part(folder: ModelFolder, subfolder: str, kind: str, stem: str) -> Part:
    """The network of class `kind` in a subfolder (or in the folder itself, for an empty name).

    Its weights are `<stem>.safetensors` or `<stem>.fp16.safetensors`, whole or in shards that an index names.
    WeightsError for another class, weights that are no safetensors, a shard or a file that nobody checked.
    """
    name = f"{subfolder}/config.json" if subfolder else "config.json"
    if name not in folder.files:
        raise WeightsError(_no_weights(folder.path / subfolder, "its weights"))
    config = read_config(folder, name)
    path, inside = folder.path / subfolder, f"{subfolder}/" if subfolder else ""
    check_alone(folder, subfolder)
    found = config.get("_class_name") or next(iter(config.get("architectures") or []), None)
    if found != kind:
        article = "an" if kind[0] in "AEIO" else "a"
        raise WeightsError(f"{path / 'config.json'} describes a {found}; {article} {kind} is needed")
    for variant in VARIANTS:
        middle = "" if variant is None else f".{variant}"
        index = f"{inside}{stem}.safetensors.index{middle}.json"
        if index in folder.files:
            _check_shards(folder, index, inside)
            return Part(path, config, variant)
        if f"{inside}{stem}{middle}.safetensors" in folder.files:
            return Part(path, config, variant)
    raise WeightsError(_no_weights(path, f"{stem}.safetensors"))


def read_config(folder: ModelFolder, name: str) -> dict[str, Any]:
    """A JSON file of a model folder; WeightsError when it is not there, not listed or no JSON object."""
    path = folder.path / name
    if name not in folder.files:
        raise WeightsError(f"{path.parent} must hold and list {path.name}; fetch the model again")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is no JSON; fetch the model again") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path} holds no settings of a model; fetch the model again")
    return value


def check_alone(folder: ModelFolder, subfolder: str) -> None:
    """WeightsError when there is a file that a library might read and that nobody has checked.

    A shard index, a second weights file, more tokens (`added_tokens.json`), a chat template or an adapter
    would silently be read beside the right files. All that is not listed is refused, but for NOTES and dot
    files.
    """
    path = folder.path / subfolder
    inside = [*path.iterdir(), *(path / TEMPLATES).glob("*")] if path.is_dir() else []
    for other in sorted(inside):
        note = other.is_dir() or other.name in NOTES or other.name.startswith(".")
        if not note and other.relative_to(folder.path).as_posix() not in folder.files:
            raise WeightsError(
                f"{other} is not listed in the folder's checksums, and a library might read it; remove it, "
                f"or list it in {folder.path / SUMS} if it belongs to the model"
            )


def _no_weights(path: Path, weights: str) -> str:
    return (
        f"{path} must hold and list config.json and {weights}; "
        "weights in another format (pickles above all) are not read"
    )


def _check_shards(folder: ModelFolder, index: str, inside: str) -> None:
    """The index's shards are listed, and hold every weight that it promises of them.

    diffusers believes the index: a weight that its shard lacks would stay random.
    """
    for shard in shards_of(folder.path / index):
        if f"{inside}{shard}" not in folder.files:
            raise WeightsError(
                f"{folder.path / index} names the shard {shard}, which is not in the folder's checksums; "
                "fetch the model again"
            )
    promised = json.loads((folder.path / index).read_text(encoding="utf-8"))["weight_map"]
    held = {shard: _weights_in(folder.path / f"{inside}{shard}") for shard in set(promised.values())}
    for weight, shard in sorted(promised.items()):
        if weight not in held[shard]:
            raise WeightsError(
                f"{folder.path / index} promises {weight} in {shard}, which lacks it; fetch the model again"
            )


def _weights_in(path: Path) -> set[str]:
    """Names of the weights in a safetensors file, read from its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return set(file.keys())
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is no safetensors file; fetch the model again") from error


def shards_of(index: Path) -> list[str]:
    """The file names that an index of sharded weights names; WeightsError for anything but plain names."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        plain = all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors", name) for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is no index of sharded weights; fetch the model again") from error
    if not names or not plain:
        raise WeightsError(f"{index} does not name safetensors files beside it; fetch the model again")
    return names
