"""An HDR panorama as an environment light that can be looked up: prefiltered once, cached by content.

Split-sum approximation (Karis 2013) with the levels that nvdiffrec uses: the panorama becomes a cube of 512
texels a side and its mip chain down to 16; the cosine-weighted mean gives the diffuse light E(N), already
divided by pi; level i < 5 of the specular chain is filtered with roughness 0.08 ... 0.5, the last one with 1.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from castex import cubemap
from castex.chunks import on_threads
from castex.cubemap import Cube, Cubes
from castex.errors import InputError
from castex.files import write_tensors
from castex.shading import brdf_table

LOWEST_ROUGHNESS, KNEE_ROUGHNESS = 0.08, 0.5
SMALLEST_SIDE = 16
KEPT_ENERGY = 0.99
TILE, BLOCK = 8, 4
# Raise it when the filter changes: cached lights of older versions are then made anew.
VERSION = 1


@dataclass(frozen=True)
class EnvironmentLight:
    """Linear radiance, prefiltered. `specular` goes from the sharpest level to the one of roughness 1."""

    diffuse: Cube
    specular: Cubes
    brdf: Float[Tensor, "roughness cosine 2"]

    def to(self, device: torch.device | str) -> EnvironmentLight:
        """The same light on another device."""
        levels = tuple(level.to(device) for level in self.specular)
        return EnvironmentLight(self.diffuse.to(device), levels, self.brdf.to(device))

    def scaled(self, intensity: float) -> EnvironmentLight:
        """The same light, `intensity` times as bright."""
        levels = tuple(level * intensity for level in self.specular)
        return EnvironmentLight(self.diffuse * intensity, levels, self.brdf)


def prefiltered(panorama: Float[Tensor, "height width 3"], side: int = 512) -> EnvironmentLight:
    """Prefilter an equirectangular panorama of linear radiance; `side` is that of the sharpest cube level."""
    return prefiltered_cube(cubemap.from_panorama(panorama, side))


def prefiltered_cube(cube: Cube) -> EnvironmentLight:
    """Prefilter a cube map of linear radiance; its side must be a power of two from 32 on."""
    side = cube.shape[1]
    if side < 2 * SMALLEST_SIDE or side & (side - 1):
        raise InputError(f"a cube map of side {side} cannot be prefiltered; use a power of two from 32 on")
    chain = [cube.float()]
    while chain[-1].shape[1] > SMALLEST_SIDE:
        chain.append(cubemap.halved(chain[-1]))
    last = len(chain) - 1
    roughness = [level_roughness(level, last) for level in range(last)] + [1.0]
    specular = [_specular(level, float(rough)) for level, rough in zip(chain, roughness, strict=True)]
    return EnvironmentLight(_diffuse(chain[-1]), tuple(specular), brdf_table())


def level_roughness(level: int, last: int) -> float:
    """Roughness with which a level before the last is filtered: 0.08 to 0.5, linear in the level."""
    span = max(last - 1, 1)
    return LOWEST_ROUGHNESS + (KNEE_ROUGHNESS - LOWEST_ROUGHNESS) * level / span


def _diffuse(cube: Cube) -> Cube:
    side = cube.shape[1]
    normal = cubemap.directions(side).view(-1, 3)
    weight = (normal @ normal.T).clamp(0, 0.999) * cubemap.solid_angles(side).flatten().repeat(6) / math.pi
    return (weight.float() @ cube.reshape(-1, 3)).view(6, side, side, 3)


def _cutoff(roughness: float) -> float:
    """Cosine of the angle that holds 99 % of the lobe's profile D(theta), integrated over theta alone."""
    cosine = np.cos(np.linspace(0, math.pi / 2, 100_000))
    alpha2 = roughness**4
    profile = np.cumsum(alpha2 / ((cosine * cosine * (alpha2 - 1) + 1) ** 2))
    return float(cosine[np.argmax(profile >= KEPT_ENERGY * profile[-1])])


def _specular(cube: Cube, roughness: float) -> Cube:
    """Filter with the lobe of N = V = R: weight (N.L) D(N.H) per solid angle, normalised by its sum.

    Only one face's weights are computed: the other five are its images under symmetries of the cube, which
    permute the texels.
    """
    side = cube.shape[1]
    texel = cubemap.directions(side).float()
    texel_block = texel.view(6, side // BLOCK, BLOCK, side // BLOCK, BLOCK, 3)
    blocks = texel_block.permute(0, 1, 3, 2, 4, 5).reshape(-1, BLOCK * BLOCK, 3)
    order = _blocked(torch.arange(6 * side * side).view(6, side, side)).reshape(len(blocks), -1)
    solid = cubemap.solid_angles(side).float().expand(6, side, side).reshape(-1)
    turned = torch.stack([cube.reshape(-1, 3)[_turn(side, face)] for face in range(6)], dim=1).flatten(1)
    centre = torch.nn.functional.normalize(blocks.mean(1), dim=1)
    limit = _cutoff(roughness)
    reach = math.acos(max(-1.0, limit)) + 1.5 * (TILE + BLOCK) / side
    tiles = texel[0].view(side // TILE, TILE, side // TILE, TILE, 3).permute(0, 2, 1, 3, 4)
    filtered = torch.empty(side // TILE, side // TILE, TILE, TILE, 18)
    near = math.cos(min(reach, math.pi))

    def fill(row: int) -> None:
        for column in range(side // TILE):
            normal = tiles[row, column].reshape(-1, 3)
            middle = torch.nn.functional.normalize(normal.mean(0), dim=0)
            source = order[(centre @ middle >= near).nonzero().flatten()].flatten()
            weight = _lobe(normal @ texel.view(-1, 3)[source].T, roughness, limit) * solid[source]
            weight /= weight.sum(1, keepdim=True)
            filtered[row, column] = (weight @ turned[source]).view(TILE, TILE, 18)

    on_threads(fill, range(side // TILE))
    return filtered.permute(0, 2, 1, 3, 4).reshape(side, side, 6, 3).permute(2, 0, 1, 3).contiguous()


def _lobe(cosine: Tensor, roughness: float, limit: float) -> Tensor:
    """(N.L) D_GGX(N.H) with N = V, from N.L; zero beyond the cut. Constant factors cancel in the mean."""
    alpha2 = roughness**4
    half2 = (1 + cosine) / 2
    density = 1 / (half2 * (alpha2 - 1) + 1).square()
    return torch.where(cosine >= limit, cosine.clamp_min(0) * density, 0.0)


def _blocked(index: Tensor) -> Tensor:
    side = index.shape[1]
    return index.view(6, side // BLOCK, BLOCK, side // BLOCK, BLOCK).permute(0, 1, 3, 2, 4)


def _turn(side: int, face: int) -> Tensor:
    """For every texel, the texel that lies there after `face` has been moved onto face 0."""
    rotation = cubemap.AXES[face].T @ cubemap.AXES[0]
    turned = cubemap.directions(side).view(-1, 3) @ rotation.T
    faces, st = cubemap.locate(turned.T)
    column, row = ((st + 1) * (side / 2)).floor().clamp(0, side - 1).long()
    index: Tensor = (faces.long() * side + row) * side + column
    return index


def write_light(path: Path, light: EnvironmentLight) -> None:
    """Write a prefiltered light as safetensors (half precision would lose a sun), atomically."""
    levels = {f"specular_{k}": level for k, level in enumerate(light.specular)}
    write_tensors(path, {"diffuse": light.diffuse, "brdf": light.brdf, **levels})


def read_light(path: Path) -> EnvironmentLight:
    """Read what `write_light` wrote; InputError for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        levels = [tensors[f"specular_{k}"] for k in range(len(tensors) - 2)]
        light = EnvironmentLight(tensors["diffuse"], tuple(levels), tensors["brdf"])
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path} is no prefiltered light ({error}); delete it and run again") from error
    sides = [SMALLEST_SIDE << k for k in reversed(range(len(levels)))]
    cubes = [(light.diffuse, SMALLEST_SIDE), *zip(levels, sides, strict=True)]
    if len(levels) < 2 or any(cube.shape != (6, side, side, 3) for cube, side in cubes):
        raise InputError(f"{path} is no prefiltered light (its levels are odd); delete it and run again")
    return light


def cached_light(
    panorama: Float[Tensor, "height width 3"], side: int, cache: Path
) -> tuple[EnvironmentLight, bool]:
    """The prefiltered light of a panorama, and whether it came from the cache (keyed by the pixels)."""
    content = hashlib.sha256(panorama.numpy().tobytes())
    content.update(f"{tuple(panorama.shape)} {side} {VERSION}".encode())
    path = cache / "lights" / f"{content.hexdigest()}.safetensors"
    if path.is_file():
        try:
            return read_light(path), True
        except InputError:
            path.unlink()
    light = prefiltered(panorama, side)
    write_light(path, light)
    return light, False
