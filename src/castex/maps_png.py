"""The four maps as PNG files: albedo sRGB, the others linear, 8 bits each.

`folder/{albedo,roughness,metallic,normal}.png`; roughness and metallic are grey pictures. These functions
encode what they are given; `export.portable` makes the normals what other programs expect.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from castex.errors import InputError
from castex.files import write_together
from castex.maps import TextureMaps, grey_maps, linear_to_srgb, srgb_to_linear
from castex.picture import picture_sides, png_bytes, read_picture

NAMES = ("albedo", "roughness", "metallic", "normal")
# The largest atlas that `prepare` makes.
LARGEST_SIDE = 4096
# Grey channels may differ by one step of 8 bits: some programs dither.
GREY_TOLERANCE = 1.5 / 255


def encoded(maps: TextureMaps) -> dict[str, Float[Tensor, "height width 3"]]:
    """What the files hold, in [0, 1]: sRGB albedo, roughness and metallic repeated thrice, (n + 1) / 2.

    InputError for a map with NaN or infinity, because bytes cannot say so.
    """
    for name in NAMES:
        if not torch.isfinite(getattr(maps, name)).all():
            raise InputError(f"the {name} map holds NaN or infinity; make the texture again")
    return {
        "albedo": linear_to_srgb(maps.albedo),
        "roughness": maps.roughness.expand(-1, -1, 3),
        "metallic": maps.metallic.expand(-1, -1, 3),
        "normal": (maps.normal + 1) / 2,
    }


def packed(maps: TextureMaps) -> Float[Tensor, "height width 3"]:
    """Occlusion (1: none is known), roughness and metallic side by side, as glTF packs them."""
    return torch.cat([torch.ones_like(maps.roughness), maps.roughness, maps.metallic], dim=-1)


def raster_png(raster: Float[Tensor, "height width 3"]) -> bytes:
    """Values in [0, 1] as an 8-bit PNG; no conversion of colours."""
    return png_bytes(raster.permute(2, 0, 1)[None])


def map_files(maps: TextureMaps) -> dict[str, bytes]:
    """The four PNG files by name."""
    return {f"{name}.png": raster_png(raster) for name, raster in encoded(maps).items()}


def write_maps_png(folder: Path, maps: TextureMaps) -> None:
    """Write the four PNG files, all or none; InputError for NaN or infinity."""
    write_together(folder, map_files(maps))


def missing_maps(folder: Path) -> list[str]:
    """The maps that have no file in the folder."""
    return [name for name in NAMES if not (folder / f"{name}.png").is_file()]


def read_maps_png(folder: Path) -> TextureMaps:
    """Read maps that `write_maps_png` or a person made; each value within half a step of 8 bits of before.

    Albedo is required; another map without a file takes the paper's grey start (roughness and metallic 0.5,
    flat normals). Alpha is composited on white. Normals are as stored, of unit length to within the
    quantisation, so that writing them again gives the same bytes. InputError for anything unusable.
    """
    missing = missing_maps(folder)
    if "albedo" in missing:
        raise InputError(f"there is no albedo.png in {folder}; give a folder that `castex export` wrote")
    rasters = {name: _raster(folder, name) for name in NAMES if name not in missing}
    height, width = rasters["albedo"].shape[:2]
    for name, raster in rasters.items():
        if raster.shape[:2] != (height, width):
            raise InputError(
                f"{folder / name}.png is {raster.shape[1]} x {raster.shape[0]} texels and albedo.png "
                f"{width} x {height}; resize them to one size"
            )
    start = grey_maps(1)
    values = {name: getattr(start, name).expand(height, width, -1).contiguous() for name in missing}
    return TextureMaps(**(values | {name: _decoded(name, raster) for name, raster in rasters.items()}))


def _raster(folder: Path, name: str) -> Float[Tensor, "height width 3"]:
    path = folder / f"{name}.png"
    width, height = picture_sides(path)
    if max(width, height) > LARGEST_SIDE:
        raise InputError(f"{path} is {width} x {height} texels; resize it to at most {LARGEST_SIDE} a side")
    raster = read_picture(path, smallest=1)[0].permute(1, 2, 0).contiguous()
    spread = (raster.amax(-1) - raster.amin(-1)).max().item()
    if name in ("roughness", "metallic") and spread > GREY_TOLERANCE:
        raise InputError(f"{path} is coloured; give one grey picture per map, not a packed one")
    return raster


def _decoded(name: str, raster: Float[Tensor, "height width 3"]) -> Tensor:
    if name == "albedo":
        return srgb_to_linear(raster)
    if name == "normal":
        return raster * 2 - 1
    return raster[..., :1].contiguous()
