"""A made-up corpus on disk and tiny settings for the tests of the latent mini models."""

from __future__ import annotations

from pathlib import Path

import torch

from castex.files import sha256, write_json, write_tensors
from castex.settings.training import (
    LatentShape,
    TrainControlnetSettings,
    TrainSdSettings,
    TrainSdVaeSettings,
)

SIZE = 32
SHAPE = LatentShape(
    size=4, channels=(16, 16), attention=(False, True), groups=4, text_width=16, text_layers=1, text_heads=2
)
COMMON = {"steps": 5, "batch": 4, "checkpoint_every": 2, "mixed_precision": False}
VAE = TrainSdVaeSettings(**COMMON, renders=2, crop=16, procedural=1)
SD = TrainSdSettings(**COMMON, shape=SHAPE)
CONTROLNET = TrainControlnetSettings(**COMMON, embedding=(4, 4, 8, 8))


def write_corpus(folder: Path, *, pictures: int = 8) -> Path:
    """Discs of several colours and places on flat grounds, with their depth, half of them for the judge."""
    stream = torch.Generator().manual_seed(3)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    centre = 8 + 16 * torch.rand(pictures, 2, 1, 1, generator=stream)
    disc = ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < 64)[:, None]
    ink, ground = (torch.rand(pictures, 3, 1, 1, generator=stream) for _ in range(2))
    image = (torch.where(disc, ink, ground) * 255).to(torch.uint8)
    facts = torch.zeros(pictures, 5, dtype=torch.uint8)
    facts[:, 1] = torch.arange(pictures) % 8
    facts[:, 3] = (torch.arange(pictures) >= pictures // 2).to(torch.uint8)
    shard = folder / "shards" / "vase-plain.safetensors"
    depth = (disc * 200).to(torch.uint8)
    write_tensors(shard, {"image": image.contiguous(), "depth": depth.contiguous(), "facts": facts})
    write_json(folder / "corpus.json", {"shards": {shard.name: sha256(shard)}})
    return folder


def stops_after(steps: int):
    """A clock that jumps past any budget after so many steps: two readings before and two per step."""
    ticks = iter([0.0] * (1 + 2 * steps))
    return lambda: next(ticks, 1e9)
