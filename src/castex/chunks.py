"""Working through many pixels in pieces that stay in the cache, on as many threads as torch may use.

Elementwise chains over a million pixels are bound by memory; over a few thousand they are not. The pieces
do not depend on the number of threads, so neither do the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

# Three channels of this many pixels stay below the size from which torch splits an operation itself.
PIXELS = 10_000


def pieces(total: int, device: torch.device) -> list[slice]:
    """Slices that cover `range(total)`: short ones for a CPU's cache, a single one for a GPU."""
    length = PIXELS if device.type == "cpu" else max(total, 1)
    return [slice(start, min(start + length, total)) for start in range(0, total, length)]


def on_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results in the order of `items`; torch, SciPy and Embree release the interpreter's lock."""
    workers = min(torch.get_num_threads(), len(items))
    if workers <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))
