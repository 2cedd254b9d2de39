"""One random stream per purpose, so that a new consumer never shifts another's draws."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, asset: str, purpose: str) -> torch.Generator:
    """A generator whose seed is a hash of the triple (seed, asset, purpose).

    It lives on the CPU: CUDA streams differ for one seed, so draws are made here and moved.
    """
    digest = hashlib.sha256(f"{seed}\x1f{asset}\x1f{purpose}".encode()).digest()
    # torch accepts 64-bit seeds; 63 bits keep the number positive in every API that shows it.
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
