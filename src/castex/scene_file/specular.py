"""Materials of the older specular-glossiness workflow, restated as albedo, roughness and metallic.

Both workflows describe a diffuse colour and a mirror colour. A dielectric mirrors 4 % in grey; what mirrors
more is partly metal, and the share m solves (Khronos, KHR_materials_pbrSpecularGlossiness)

    0.04 m^2 + (d (1 - s) / 0.96 + f - 0.08) m + 0.04 - f = 0

with the brightness d of the diffuse and f of the specular colour, and its largest channel s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from castex.scene_file.colour import linear_bytes, srgb_bytes

DIELECTRIC = 0.04
SMALLEST = 1e-6
# Rows converted at once: the formula needs a dozen float64 copies.
BLOCK_TEXELS = 2**20

Rgb = UInt8[np.ndarray, "height width 3"]
Channel = UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class Glossy:
    """A specular-glossiness material: linear factors, sRGB pictures, glossiness in [0, 1]."""

    diffuse: tuple[float, float, float]
    specular: tuple[float, float, float]
    glossiness: float
    diffuse_picture: UInt8[np.ndarray, "_ _ 3"] | None = None
    specular_picture: UInt8[np.ndarray, "_ _ 3"] | None = None
    glossiness_picture: UInt8[np.ndarray, "_ _"] | None = None


def converted(glossy: Glossy) -> tuple[Rgb, Channel, Channel]:
    """Albedo (sRGB bytes), roughness and metallic, as large as the largest picture; 1 x 1 without any."""
    pictures = (glossy.diffuse_picture, glossy.specular_picture, glossy.glossiness_picture)
    height, width = max((picture.shape[:2] for picture in pictures if picture is not None), default=(1, 1))
    albedo = np.empty((height, width, 3), np.uint8)
    roughness, metallic = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
    step = max(1, BLOCK_TEXELS // width)
    for start in range(0, height, step):
        rows = np.arange(start, min(start + step, height))
        diffuse, specular, gloss = (_block(picture, rows, height, width) for picture in pictures)
        base, metal = _metallic_workflow(
            np.array(glossy.diffuse) * (1.0 if diffuse is None else linear_bytes(diffuse))
            + np.zeros((1, 1, 3)),
            np.array(glossy.specular) * (1.0 if specular is None else linear_bytes(specular))
            + np.zeros((1, 1, 3)),
        )
        shine = glossy.glossiness * (1.0 if gloss is None else gloss / 255)
        albedo[rows] = srgb_bytes(base)
        metallic[rows] = np.round(metal * 255)
        roughness[rows] = np.round((1 - np.asarray(shine)) * 255)
    return albedo, roughness, metallic


def _block(picture: np.ndarray | None, rows: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """Rows of a picture as if it had `height` x `width` texels (nearest neighbour)."""
    if picture is None:
        return None
    columns = np.arange(width) * picture.shape[1] // width
    block: np.ndarray = picture[(rows * picture.shape[0] // height)[:, None], columns[None, :]]
    return block


def _metallic_workflow(
    diffuse: Float64[np.ndarray, "_ _ 3"], specular: Float64[np.ndarray, "_ _ 3"]
) -> tuple[np.ndarray, np.ndarray]:
    rest = 1 - specular.max(axis=-1)
    dark, bright = _brightness(diffuse), _brightness(specular)
    b = dark * rest / (1 - DIELECTRIC) + bright - 2 * DIELECTRIC
    root = np.sqrt(np.maximum(b * b - 4 * DIELECTRIC * (DIELECTRIC - bright), 0))
    metal = np.where(bright < DIELECTRIC, 0.0, np.clip((root - b) / (2 * DIELECTRIC), 0, 1))[..., None]
    of_diffuse = diffuse * rest[..., None] / (1 - DIELECTRIC) / np.maximum(1 - metal, SMALLEST)
    of_specular = (specular - DIELECTRIC * (1 - metal)) / np.maximum(metal, SMALLEST)
    base = of_diffuse + (of_specular - of_diffuse) * metal**2
    return np.clip(base, 0, 1), metal[..., 0]


def _brightness(colour: np.ndarray) -> np.ndarray:
    brightness: np.ndarray = np.sqrt(colour**2 @ np.array([0.299, 0.587, 0.114]))
    return brightness
