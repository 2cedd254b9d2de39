"""Working through many pixels in pieces whose intermediate values stay near the processor.

Long chains of elementwise operations over a million pixels are bound by memory, and their intermediate
values add up to gigabytes. The pieces are spread over Python threads, each of which computes alone: torch's
own threads would have to meet after every operation. The pieces do not depend on the number of threads, so
neither do the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

# Measured: shorter pieces spend their time starting operations, longer ones cost memory and gain nothing.
PIXELS = 100_000


def pieces(total: int, device: torch.device) -> list[slice]:
    """Slices that cover `range(total)`: short ones for a CPU's cache, a single one for a GPU."""
    length = PIXELS if device.type == "cpu" else max(total, 1)
    return [slice(start, min(start + length, total)) for start in range(0, total, length)]


def on_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results in the order of `items`; torch, SciPy and Embree release the interpreter's lock."""
    workers = min(torch.get_num_threads(), len(items))
    if workers <= 1:
        return [function(item) for item in items]
    # The number of torch's threads is a property of the calling thread: nobody else's changes.
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, items))
