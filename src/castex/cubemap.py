"""Cube maps: which direction a texel sees, and differentiable lookups without seams.

Faces are +x, -x, +y, -y, +z, -z. Face f is spanned by an axis triple (s, t, n): the texel at (s, t) in
[-1, 1]^2 sees the direction s * s_axis + t * t_axis + n_axis. Rows run along t, columns along s.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

# (s, t, n) per face: the axes after n in the order x, y, z, so that a face is found with few choices. Faces
# are rotations or mirror images of each other; both permute the texels.
AXES = torch.tensor(
    [
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        [[0, 1, 0], [0, 0, 1], [-1, 0, 0]],
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        [[0, 0, 1], [1, 0, 0], [0, -1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 0], [0, 0, -1]],
    ],
    dtype=torch.float64,
)
# How far beyond an edge a border texel is looked up: just across.
HAIR = 1e-9
Cube = Float[Tensor, "6 side side channels"]
Cubes = tuple[Float[Tensor, "6 _ _ 3"], ...]


def directions(side: int) -> Float[Tensor, "6 side side 3"]:
    """Unit direction of every texel centre, float64."""
    ticks = (torch.arange(side, dtype=torch.float64) + 0.5) * (2 / side) - 1
    t, s = torch.meshgrid(ticks, ticks, indexing="ij")
    local = torch.stack([s, t, torch.ones_like(s)], dim=-1)
    return F.normalize(torch.einsum("rck,fkx->frcx", local, AXES), dim=-1).contiguous()


def solid_angles(side: int) -> Float[Tensor, "side side"]:
    """Exact solid angle of each texel of one face, in steradians; six faces add to 4 pi."""
    edge = torch.linspace(-1, 1, side + 1, dtype=torch.float64)
    x, y = torch.meshgrid(edge, edge, indexing="ij")
    corner = torch.atan2(x * y, (1 + x * x + y * y).sqrt())
    return corner[1:, 1:] - corner[:-1, 1:] - corner[1:, :-1] + corner[:-1, :-1]


def locate(
    direction: Float[Tensor, "3 pixels"],
) -> tuple[Int[Tensor, "pixels"], Float[Tensor, "2 pixels"]]:
    """Face of each direction and its (s, t) there, differentiable in the direction."""
    x, y, z = direction.unbind(0)
    size_x, size_y, size_z = direction.detach().abs().unbind(0)
    along_x = (size_x >= size_y) & (size_x >= size_z)
    along_y = ~along_x & (size_y >= size_z)
    n = torch.where(along_x, x, torch.where(along_y, y, z))
    s = torch.where(along_x, y, torch.where(along_y, z, x))
    t = torch.where(along_x, z, torch.where(along_y, x, y))
    face = 4 - 4 * along_x.int() - 2 * along_y.int() + (n < 0).int()
    return face, torch.stack([s, t]) / n.abs()


def padded(cube: Cube) -> Float[Tensor, "6 padded padded channels"]:
    """Each face with a border of one texel taken from its neighbours, so that bilinear lookups cross edges.

    The border holds the texel that touches it across the edge; a corner, where three faces meet, the mean of
    the three texels around it. Both faces of an edge then interpolate the same values along it.
    """
    side, channels = cube.shape[1], cube.shape[3]
    ticks = (torch.arange(-1, side + 1, dtype=torch.float64) + 0.5) * (2 / side) - 1
    ticks = ticks.clamp(-1 - HAIR, 1 + HAIR)
    t, s = torch.meshgrid(ticks, ticks, indexing="ij")
    local = torch.stack([s, t, torch.ones_like(s)], dim=-1)
    outside = torch.einsum("rck,fkx->frcx", local, AXES).reshape(-1, 3).T
    face, st = locate(outside)
    column, row = ((st + 1) * (side / 2)).floor().clamp(0, side - 1).long()
    values = cube[face.long(), row, column].view(6, side + 2, side + 2, channels)
    for row_end, inner_row in ((0, 1), (-1, -2)):
        for column_end, inner_column in ((0, 1), (-1, -2)):
            beside = values[:, row_end, inner_column] + values[:, inner_row, column_end]
            values[:, row_end, column_end] = (beside + values[:, inner_row, inner_column]) / 3
    return values


def taps(
    face: Int[Tensor, "pixels"],
    st: Float[Tensor, "2 pixels"],
    side: Int[Tensor, "pixels"] | int,
    offset: Int[Tensor, "pixels"] | int,
) -> tuple[list[Int[Tensor, "pixels"]], list[Float[Tensor, "pixels"]]]:
    """Four rows of a table of padded faces and their bilinear weights (differentiable in `st`).

    `side` is the unpadded resolution, per pixel or common; `offset` where its six faces begin in the table.
    """
    # Texel centres of a padded face start at index 1 for s = -1 + 1/side.
    place = (st + 1) * (side * 0.5) + 0.5
    low = place.detach().int()
    s, t = (place - low).unbind(0)
    width = side + 2
    first = offset + (face * width + low[1]) * width + low[0]
    rows = [first, first + 1, first + width, first + width + 1]
    lower, right = t * s, s - t * s
    return rows, [1 - t - right, right, t - lower, lower]


def from_panorama(panorama: Float[Tensor, "height width 3"], side: int) -> Float[Tensor, "6 side side 3"]:
    """Sample an equirectangular panorama on a cube: u = atan2(x, -z) / 2 pi + 0.5, v = acos(y) / pi.

    Linear interpolation at texel centres, wrapping around in u and clamped at the poles.
    """
    height, width = panorama.shape[:2]
    x, y, z = directions(side).view(-1, 3).T
    column = (torch.atan2(x, -z) / (2 * math.pi) + 0.5) * width - 0.5
    row = (y.clamp(-1, 1).acos() / math.pi * height - 0.5).clamp(0, height - 1)
    left, top = column.floor(), row.floor()
    s, t = (column - left).float()[:, None], (row - top).float()[:, None]
    left, top = left.long(), top.long()
    right, below = (left + 1) % width, (top + 1).clamp_max(height - 1)
    left = left % width
    upper = torch.lerp(panorama[top, left], panorama[top, right], s)
    lower = torch.lerp(panorama[below, left], panorama[below, right], s)
    return torch.lerp(upper, lower, t).view(6, side, side, 3)


def halved(cube: Cube) -> Float[Tensor, "6 half half channels"]:
    """Mean over 2 x 2 texels."""
    return F.avg_pool2d(cube.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
