"""The four texture maps: the physical value that a renderer sees and a file holds.

Colour management: albedo is *linear* in memory and sRGB in 8-bit files; roughness (perceptual, squared once
in `shading`), metallic and normal are data, never colour. A normal is stored as the unit vector itself in
the tangent frame of `shading`, not remapped; files hold (n + 1) / 2.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

FLAT = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class TextureMaps:
    """Albedo (linear, [0, 1]), roughness [0, 1], metallic [0, 1], tangent-space normal; row 0 is v = 0."""

    albedo: Float[Tensor, "height width 3"]
    roughness: Float[Tensor, "height width 1"]
    metallic: Float[Tensor, "height width 1"]
    normal: Float[Tensor, "height width 3"]

    def stacked(self) -> Float[Tensor, "height width 8"]:
        """All maps side by side in this order, as one gather wants them."""
        return torch.cat([self.albedo, self.roughness, self.metallic, self.normal], dim=-1)

    def to(self, device: torch.device | str) -> TextureMaps:
        """The same maps on another device."""
        return TextureMaps(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))


def grey_maps(size: int, level: float = 0.5) -> TextureMaps:
    """The paper's start: albedo, roughness and metallic at `level`, flat normals; `size` x `size` texels."""
    return TextureMaps(
        albedo=torch.full((size, size, 3), level),
        roughness=torch.full((size, size, 1), level),
        metallic=torch.full((size, size, 1), level),
        normal=torch.tensor(FLAT).expand(size, size, 3).contiguous(),
    )


def linear_to_srgb(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sRGB transfer function (IEC 61966-2-1) of linear values, clamped to [0, 1] first."""
    linear = linear.clamp(0, 1)
    return torch.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    )


def srgb_to_linear(encoded: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Inverse of `linear_to_srgb` for values in [0, 1]."""
    encoded = encoded.clamp(0, 1)
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
