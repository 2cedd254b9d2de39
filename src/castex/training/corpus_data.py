"""The corpus as a model sees it: pictures of one half in memory, with what each of them shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int, UInt8
from safetensors import safe_open
from torch import Tensor

from castex.errors import InputError
from castex.files import fingerprint, read_json, sha256
from castex.training.captions import VIEWS, Facts, caption
from castex.training.corpus import HALVES, KINDS, LAYERS
from castex.training.corpus_run import RECORD
from castex.training.materials import COLOURS, MATERIALS

PALETTE = tuple(COLOURS)


@dataclass(frozen=True)
class Pictures:
    """Some layers of some pictures, uint8, and the facts behind them."""

    layers: dict[str, UInt8[Tensor, "pictures channels height width"]]
    facts: Int[Tensor, "pictures 6"]
    """Per picture: mesh (index in `meshes`), material (in `KINDS`), colour, view, half, light."""
    meshes: tuple[str, ...]
    identity: str
    """Changes with the corpus and with what was chosen from it."""

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.facts)

    def facts_of(self, index: int) -> Facts:
        """What one picture shows, in words."""
        mesh, material, colour, view = self.facts[index, :4].tolist()
        return Facts(self.meshes[mesh], KINDS[material], PALETTE[colour], VIEWS[view])

    def captions(self, index: Tensor, stream: torch.Generator) -> list[str]:
        """A sentence per picture, drawn from the grammar."""
        return [caption(self.facts_of(int(k)), stream) for k in index]

    def textured(self) -> Pictures:
        """Those of them that show a material."""
        chosen = self.facts[:, 1] < len(MATERIALS)
        if chosen.all():
            return self
        layers = {name: values[chosen] for name, values in self.layers.items()}
        return Pictures(layers, self.facts[chosen], self.meshes, fingerprint([self.identity, "textured"]))

    def draw(self, count: int, stream: torch.Generator) -> Int[Tensor, "pictures"]:
        """Indices of a random batch."""
        return torch.randint(len(self), (count,), generator=stream)


def read_corpus(
    folder: Path,
    half: str,
    *,
    layers: tuple[str, ...] = ("image",),
    size: int | None = None,
    resize: Literal["mean", "bilinear"] = "mean",
) -> Pictures:
    """Load one half of a corpus ("models" or "judge"; "both" for a yardstick's), reduced to `size` pixels.

    `resize` says how: `mean` averages whole blocks of pixels, `bilinear` is the antialiased resize (a
    triangle twice as wide) that synthesis uses.
    InputError for a folder without a finished corpus, and for a shard that is not the recorded one.
    """
    told = _record(folder)
    wanted = [0, 1] if half == "both" else [HALVES.index(half)] if half in HALVES else []
    if not wanted:
        raise InputError(f"half={half!r} is unknown; choose from {', '.join(HALVES)}, both")
    parts, meshes = list[_Part](), list[str]()
    for name in sorted(told["shards"]):
        mesh = name.rsplit("-", 1)[0]
        if mesh not in meshes:
            meshes.append(mesh)
        parts.append(_part(folder / "shards" / name, told["shards"][name], meshes.index(mesh), wanted))
    facts = torch.cat([part.facts for part in parts]) if parts else torch.empty(0, 6)
    if not len(facts):
        raise InputError(f"{folder} holds no pictures for {half!r}; make the corpus again")
    whole = {name: _gathered(parts, name, size, resize) for name in layers}
    filtered = [] if resize == "mean" else [resize]
    chosen = fingerprint([told["shards"], half, list(layers), size, *filtered])
    return Pictures(whole, facts, tuple(meshes), chosen)


@dataclass(frozen=True)
class _Part:
    """The pictures of one shard that are wanted."""

    path: Path
    keep: Bool[Tensor, "rows"]
    facts: Int[Tensor, "kept 6"]


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"{folder} holds no finished corpus ({RECORD} is missing); run the rule `corpus`")
    told = read_json(path)
    if not isinstance(told, dict) or not isinstance(told.get("shards"), dict):
        raise InputError(f"{path} is no record of a corpus; run the rule `corpus` again")
    return told


def _part(path: Path, digest: str, mesh: int, wanted: list[int]) -> _Part:
    if not path.is_file() or sha256(path) != digest:
        raise InputError(
            f"{path} is missing or altered; remove {path.parents[1] / RECORD} and run `corpus` again"
        )
    with safe_open(path, framework="pt") as shard:
        rows = shard.get_tensor("facts").long()
    keep = torch.isin(rows[:, 3], torch.tensor(wanted))
    return _Part(path, keep, torch.cat([torch.full((int(keep.sum()), 1), mesh), rows[keep]], dim=1))


def _gathered(parts: list[_Part], layer: str, size: int | None, resize: str) -> Tensor:
    """One layer of all parts, filled shard by shard, so that it is in memory once."""
    whole, place = torch.empty(0), 0
    for part in parts:
        with safe_open(part.path, framework="pt") as shard:
            pictures = _reduced(shard.get_tensor(layer)[part.keep], size, resize)
        if not place:
            count = sum(len(other.facts) for other in parts)
            whole = torch.empty(count, *pictures.shape[1:], dtype=torch.uint8)
        whole[place : place + len(pictures)] = pictures
        place += len(pictures)
    return whole


def _reduced(pictures: Tensor, size: int | None, resize: str) -> Tensor:
    if size is None or size == pictures.shape[-1]:
        return pictures
    if pictures.shape[-1] % size:
        raise InputError(
            f"pictures of {pictures.shape[-1]} pixels cannot be reduced to {size}; choose a divisor"
        )
    if resize == "bilinear":
        small = F.interpolate(pictures.float(), (size, size), mode="bilinear", antialias=True)
    else:
        small = F.avg_pool2d(pictures.float(), pictures.shape[-1] // size)
    return (small + 0.5).to(torch.uint8)


def channels(layer: str) -> int:
    """Channels of a layer."""
    return LAYERS[layer].stop - LAYERS[layer].start
