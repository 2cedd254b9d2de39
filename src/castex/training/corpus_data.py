"""The corpus as a model sees it: pictures of one half in memory, with what each of them shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8
from safetensors import safe_open
from torch import Tensor

from castex.errors import InputError
from castex.files import fingerprint, read_json
from castex.training.captions import VIEWS, Facts, caption
from castex.training.corpus import HALVES, KINDS, LAYERS
from castex.training.corpus_run import RECORD
from castex.training.materials import COLOURS

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

    def draw(self, count: int, stream: torch.Generator) -> Int[Tensor, "pictures"]:
        """Indices of a random batch."""
        return torch.randint(len(self), (count,), generator=stream)


def read_corpus(
    folder: Path,
    half: str,
    *,
    layers: tuple[str, ...] = ("image",),
    size: int | None = None,
) -> Pictures:
    """Load one half of a corpus ("models" or "judge"; "both" for a yardstick's), reduced to `size` pixels.

    Reduction averages whole blocks of pixels, as the antialiased resize of synthesis does for whole ratios.
    InputError for a folder without a finished corpus.
    """
    record = folder / RECORD
    if not record.is_file():
        raise InputError(f"{folder} holds no finished corpus ({RECORD} is missing); run the rule `corpus`")
    told = read_json(record)
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    facts, meshes = list[Tensor](), list[str]()
    for name in sorted(told["shards"]):
        mesh = name.rsplit("-", 1)[0]
        if mesh not in meshes:
            meshes.append(mesh)
        with safe_open(folder / "shards" / name, framework="pt") as shard:
            rows = shard.get_tensor("facts").long()
            keep = (
                rows[:, 3] == HALVES.index(half)
                if half != "both"
                else torch.ones(len(rows), dtype=torch.bool)
            )
            facts.append(torch.cat([torch.full((int(keep.sum()), 1), meshes.index(mesh)), rows[keep]], dim=1))
            for layer in layers:
                parts[layer].append(_reduced(shard.get_tensor(layer)[keep], size))
    whole = {name: torch.cat(pieces) for name, pieces in parts.items()}
    chosen = fingerprint([told["shards"], half, list(layers), size])
    return Pictures(whole, torch.cat(facts), tuple(meshes), chosen)


def _reduced(pictures: Tensor, size: int | None) -> Tensor:
    if size is None or size == pictures.shape[-1]:
        return pictures
    if pictures.shape[-1] % size:
        raise InputError(
            f"pictures of {pictures.shape[-1]} pixels cannot be reduced to {size}; choose a divisor"
        )
    small = F.avg_pool2d(pictures.float(), pictures.shape[-1] // size)
    return (small + 0.5).to(torch.uint8)


def channels(layer: str) -> int:
    """Channels of a layer."""
    return LAYERS[layer].stop - LAYERS[layer].start
