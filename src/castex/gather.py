"""Trilinear texture lookups whose transpose gives the same bits every time.

The lookups of one G-buffer are a sparse matrix from all texels of the mip pyramid to pixels, eight entries a
row. Its product with the texture is the lookup; the product of its transpose with a gradient adds in a fixed
order. SciPy does both on the CPU, in as many blocks as there are views, whatever the number of threads; on
CUDA, `index_put_(accumulate=True)` sorts before it adds, where a scatter with atomics would not repeat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from castex.chunks import on_threads, pieces

MAX_LEVEL = 9
BLOCKS = 4


def pyramid(maps: Float[Tensor, "height width channels"]) -> Float[Tensor, "texels channels"]:
    """All mip levels behind each other: 2 x 2 means, at most 9 halvings, as long as both sides are even.

    Sides that are powers of two go down to one texel; with others, distant lookups alias.
    """
    levels = [maps]
    for _ in level_sizes(maps.shape[0], maps.shape[1])[1:]:
        levels.append(F.avg_pool2d(levels[-1].permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0))
    return torch.cat([level.flatten(0, 1) for level in levels])


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Height and width of every level of `pyramid`."""
    sizes = [(height, width)]
    while len(sizes) <= MAX_LEVEL and min(sizes[-1]) > 1 and sizes[-1][0] % 2 == 0 and sizes[-1][1] % 2 == 0:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


class Lookup:
    """Where each pixel of one G-buffer looks in a pyramid of `height x width` maps."""

    def __init__(
        self,
        texcoord: Float[Tensor, "2 pixels"],
        footprint: Float[Tensor, "pixels"],
        height: int,
        width: int,
    ) -> None:
        sizes = level_sizes(height, width)
        self.texels = sum(rows * columns for rows, columns in sizes)
        count, device = len(footprint), footprint.device
        self.rows = torch.empty(count, 8, dtype=torch.int32, device=device)
        self.weights = torch.empty(count, 8, dtype=footprint.dtype, device=device)

        def fill(here: slice) -> None:
            level = (footprint[here] * max(height, width)).clamp_min(1e-30).log2().clamp(0, len(sizes) - 1)
            low = level.int().clamp_max(max(len(sizes) - 2, 0))
            fraction = level - low
            high = (low + 1).clamp_max(len(sizes) - 1)
            _taps_(texcoord[:, here], low, sizes, 1 - fraction, self.rows[here, :4], self.weights[here, :4])
            _taps_(texcoord[:, here], high, sizes, fraction, self.rows[here, 4:], self.weights[here, 4:])

        on_threads(fill, pieces(count, device))

    def __call__(self, texels: Float[Tensor, "texels channels"]) -> Float[Tensor, "pixels channels"]:
        """The weighted sum per pixel, differentiable in `texels`."""
        gathered: Tensor = _Gather.apply(texels, self)  # type: ignore[no-untyped-call]
        return gathered

    def matrices(self) -> list[Any]:
        """The sparse matrix as blocks of rows (SciPy, CPU)."""
        from scipy.sparse import csr_matrix

        blocks = []
        for rows, weights in zip(self.rows.chunk(BLOCKS), self.weights.chunk(BLOCKS), strict=True):
            ends = np.arange(len(rows) + 1, dtype=np.int32) * 8
            blocks.append(
                csr_matrix(
                    (weights.reshape(-1).numpy(), rows.reshape(-1).numpy(), ends),
                    shape=(len(rows), self.texels),
                )
            )
        return blocks


def _taps_(
    texcoord: Float[Tensor, "2 pixels"],
    level: Int[Tensor, "pixels"],
    sizes: list[tuple[int, int]],
    share: Float[Tensor, "pixels"],
    rows: Int[Tensor, "pixels 4"],
    weights: Float[Tensor, "pixels 4"],
) -> None:
    """Write bilinear taps at one level per pixel; coordinates outside [0, 1] repeat the texture."""
    table = torch.tensor(sizes, dtype=torch.int32, device=texcoord.device)
    starts = torch.cat([table.new_zeros(1), table.prod(1).cumsum(0)[:-1].int()]).index_select(0, level)
    height, width = table.T.index_select(1, level).unbind(0)
    # Whole repetitions are dropped first: coordinates far outside would overflow an index.
    x = (texcoord[0] - texcoord[0].floor()) * width - 0.5
    y = (texcoord[1] - texcoord[1].floor()) * height - 0.5
    left, top = x.floor(), y.floor()
    s, t = x - left, y - top
    left, top = left.int(), top.int()
    columns = torch.where(left < 0, width - 1, left), torch.where(left + 1 >= width, 0, left + 1)
    lines = (
        torch.where(top < 0, height - 1, top) * width + starts,
        (torch.where(top + 1 >= height, 0, top + 1) * width + starts),
    )
    lower, upper = t * share, (1 - t) * share
    torch.stack([line + column for line in lines for column in columns], dim=1, out=rows)
    torch.stack([upper * (1 - s), upper * s, lower * (1 - s), lower * s], dim=1, out=weights)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, texels: Tensor, lookup: Lookup) -> Tensor:
        ctx.lookup = lookup
        if texels.is_cuda:
            return gathered(texels, lookup)
        ctx.matrices = lookup.matrices()
        values = texels.detach().numpy()
        parts = on_threads(lambda matrix: matrix @ values, ctx.matrices)
        return torch.from_numpy(np.concatenate(parts))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        lookup: Lookup = ctx.lookup
        if gradient.is_cuda:
            return scattered(gradient, lookup), None
        blocks = [block.contiguous().numpy() for block in gradient.chunk(BLOCKS)]
        parts = on_threads(lambda pair: pair[0].T @ pair[1], list(zip(ctx.matrices, blocks, strict=True)))
        return torch.from_numpy(sum(parts[1:], parts[0])), None


def gathered(texels: Float[Tensor, "texels channels"], lookup: Lookup) -> Float[Tensor, "pixels channels"]:
    """The product with the sparse matrix in torch alone, as CUDA does it."""
    return (texels[lookup.rows.long()] * lookup.weights.to(texels)[..., None]).sum(1)


def scattered(gradient: Float[Tensor, "pixels channels"], lookup: Lookup) -> Float[Tensor, "texels channels"]:
    """The product with its transpose in torch alone: sorted before it is added, hence repeatable on CUDA."""
    spread = (gradient[:, None] * lookup.weights.to(gradient)[..., None]).flatten(0, 1)
    total = gradient.new_zeros(lookup.texels, gradient.shape[1])
    return total.index_put_((lookup.rows.flatten().long(),), spread, accumulate=True)
