"""Parameterisations of the four texture maps: what the optimiser owns, and the maps that come out of it.

All keep the ranges of the paper's projection: albedo, roughness and metallic in [0, 1], normals with
x, y in [-0.5, 0.5] and z in [0.5, 1]. A map that is not learned stays what it was at the start.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from castex.maps import TextureMaps
from castex.settings.synthesis import ALL_MAPS, HashGridShape
from castex.texture import SkipNetwork

CHANNELS = [3, 1, 1, 3]
NORMAL_LOW, NORMAL_HIGH = (-0.5, -0.5, 0.5), (0.5, 0.5, 1.0)
SMALLEST_START = 1e-4
# Mueller et al. 2022, Eq. 4.
PRIMES = (1, 2_654_435_761, 805_459_861)


def random_maps(size: int, *, generator: torch.Generator) -> TextureMaps:
    """Uniform noise in the valid ranges, `size` x `size` texels; normals of unit length."""
    draw = torch.rand(size, size, sum(CHANNELS), generator=generator)
    albedo, roughness, metallic, normal = torch.split(draw, CHANNELS, dim=-1)
    return TextureMaps(albedo, roughness, metallic, normalize(in_box(normal), dim=-1))


def in_box(values: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 3"]:
    """Values in [0, 1] stretched over the box that normals are clamped to."""
    low, high = values.new_tensor(NORMAL_LOW), values.new_tensor(NORMAL_HIGH)
    return low + (high - low) * values


class ExplicitTexture(nn.Module):
    """Every texel and channel is a parameter, as in the paper."""

    def __init__(self, initial: TextureMaps, learned: Collection[str] = ALL_MAPS) -> None:
        super().__init__()
        for name in ALL_MAPS:
            value = getattr(initial, name).detach().clone()
            if name in learned:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def maps(self) -> TextureMaps:
        """The parameters themselves."""
        return TextureMaps(*(getattr(self, name) for name in ALL_MAPS))

    @torch.no_grad()
    def project_(self) -> None:
        """Normals are normalised, then clamped to their box; the others are clamped to [0, 1] (paper).

        A clamped normal is no longer of unit length, and the next projection moves it again: the published
        method is no projection in the mathematical sense there.
        """
        for name, value in self.named_parameters():
            if name == "normal":
                low, high = value.new_tensor(NORMAL_LOW), value.new_tensor(NORMAL_HIGH)
                value.copy_(normalize(value, dim=-1).clamp(low, high))
            else:
                value.clamp_(0, 1)


class _Implicit(nn.Module):
    """Shared by parameterisations that give eight channels in [0, 1] per texel."""

    def __init__(self, fixed: TextureMaps, learned: Collection[str]) -> None:
        super().__init__()
        self.learned = frozenset(learned)
        for name in set(ALL_MAPS) - self.learned:
            self.register_buffer(f"fixed_{name}", getattr(fixed, name).detach().clone())

    def assembled(self, values: Float[Tensor, "height width 8"]) -> TextureMaps:
        """Maps of the channels; normals stretched over their box and normalised."""
        made = dict(zip(ALL_MAPS, torch.split(values, CHANNELS, dim=-1), strict=True))
        made["normal"] = normalize(in_box(made["normal"]), dim=-1)
        return TextureMaps(
            *(made[name] if name in self.learned else getattr(self, f"fixed_{name}") for name in ALL_MAPS)
        )

    def project_(self) -> None:
        """Nothing to do: a sigmoid keeps the ranges."""


class NeuralTexture(_Implicit):
    """The weights of a skip network that turns fixed noise into maps: deep image prior, as in Paint-it.

    The noise has three channels, each with mean 0 and deviation 1 over the atlas. Eight channels come out
    (Paint-it has nine, one of which it does not use).
    """

    noise: Tensor

    def __init__(
        self,
        network: SkipNetwork,
        fixed: TextureMaps,
        learned: Collection[str] = ALL_MAPS,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__(fixed, learned)
        # Convolutions of this width run a fifth faster on CPUs when channels lie together in memory.
        # (torch types `to` without this argument.)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        noise = torch.randn(1, 3, *fixed.albedo.shape[:2], generator=generator)
        mean, deviation = noise.mean((2, 3), keepdim=True), noise.std((2, 3), keepdim=True)
        self.register_buffer("noise", (noise - mean) / deviation)

    def maps(self) -> TextureMaps:
        """The network's picture, taken apart."""
        return self.assembled(self.network(self.noise)[0].permute(1, 2, 0))


class HashGridTexture(_Implicit):
    """A field over space, asked where the texels lie: hashed grids of features and a network of one layer.

    Neighbours in space share values across the seams of the atlas, which neither other parameterisation
    knows. Begins at the grey start: all features are near 0, and biases are 0.
    """

    points: Tensor
    texel_point_idx: Tensor

    def __init__(
        self,
        points: Float[Tensor, "points 3"],
        texel_point_idx: Int[Tensor, "height width"],
        shape: HashGridShape,
        fixed: TextureMaps,
        learned: Collection[str] = ALL_MAPS,
        *,
        generator: torch.Generator,
    ) -> None:
        """`points` in [-1, 1]; `texel_point_idx` says which of them each texel shows."""
        super().__init__(fixed, learned)
        self.register_buffer("points", ((points + 1) / 2).clamp(0, 1), persistent=False)
        self.register_buffer("texel_point_idx", texel_point_idx.long(), persistent=False)
        growth = (shape.finest / shape.coarsest) ** (1 / max(shape.levels - 1, 1))
        self.sides = [int(shape.coarsest * growth**level) for level in range(shape.levels)]
        entries = [min((side + 1) ** 3, 2**shape.table) for side in self.sides]
        self.tables = nn.ParameterList(
            SMALLEST_START * (2 * torch.rand(count, shape.features, generator=generator) - 1)
            for count in entries
        )
        self.hidden = _layer(shape.levels * shape.features, shape.width, generator)
        self.output = _layer(shape.width, sum(CHANNELS), generator)

    def maps(self) -> TextureMaps:
        """The field at every texel."""
        features = torch.cat(
            [self._looked_up(side, table) for side, table in zip(self.sides, self.tables, strict=True)], dim=1
        )
        values = torch.sigmoid(self.output(torch.relu(self.hidden(features))))
        return self.assembled(embedding(self.texel_point_idx, values))

    def _looked_up(self, side: int, table: Tensor) -> Float[Tensor, "points features"]:
        """Trilinear between the eight corners of each point's cell."""
        place = self.points * side
        corner = place.floor().clamp(max=side - 1)
        inside = place - corner
        features = table.new_zeros(len(place), table.shape[1])
        for k in range(8):
            offset = torch.tensor([k & 1, k >> 1 & 1, k >> 2 & 1], device=place.device)
            weight = torch.where(offset.bool(), inside, 1 - inside).prod(dim=1, keepdim=True)
            features = features + weight * embedding(self._entry(corner.long() + offset, side, table), table)
        return features

    @staticmethod
    def _entry(corner: Int[Tensor, "points 3"], side: int, table: Tensor) -> Int[Tensor, " points"]:
        x, y, z = corner.unbind(1)
        if (side + 1) ** 3 <= len(table):
            return x + (side + 1) * (y + (side + 1) * z)
        return (x * PRIMES[0] ^ y * PRIMES[1] ^ z * PRIMES[2]) % len(table)


def _layer(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.copy_((2 * torch.rand(outputs, inputs, generator=generator) - 1) * bound)
        layer.bias.zero_()
    return layer
