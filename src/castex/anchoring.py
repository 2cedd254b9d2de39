"""Figure 3 in numbers: how far an upsampling stage leaves the renders it began with, what detail it finds.

Drift is the distance between the current render and that of the stage before, both reduced to the base
model's size: what an upsampler has no business to change. Detail is the distance of the log power spectrum
beyond the base model's finest wave from that of renders of the material that was asked for. Plain
high-frequency energy would reward noise; white noise of just that energy is the control, and must be farther
from the material.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.errors import InputError
from castex.light import EnvironmentLight
from castex.maps import TextureMaps, linear_to_srgb
from castex.mesh import Mesh
from castex.protocols import Image
from castex.recognise import unseen_shot
from castex.render import MeshRenderer
from castex.rng import generator

LUMINANCE = (0.2126, 0.7152, 0.0722)
FLOOR = 1e-10
"""Power below which a band counts as empty: two grey levels of 8 bits over a whole picture are 1e-6."""
BANDS = 12
SHOWN_VIEW = 1


@dataclass(frozen=True)
class Measured:
    """What one stage did: numbers by step, controls, and one view after each step in sRGB."""

    rows: list[dict[str, Any]]
    """`step`, `drift` (root mean square of linear colour), `detail` (decibels)."""
    controls: dict[str, float]
    """`detail` of the start, of white noise on it, and of the material with another phase."""
    pictures: dict[str, Tensor]


def drift(now: Image, first: Image, base: int) -> float:
    """Root mean square difference of linear colour at `base` x `base` pixels."""
    small = [F.interpolate(x, (base, base), mode="bilinear", antialias=True) for x in (now, first)]
    return float((small[0] - small[1]).square().mean().sqrt())


def high_spectrum(images: Image, base: int) -> Float[Tensor, " bands"]:
    """log10 of the mean power of luminance in bands of equal ratio, from `base` / 2 waves per side upwards.

    InputError for pictures smaller than twice `base`: there is hardly anything beyond.
    """
    side = images.shape[-1]
    if side < 2 * base:
        raise InputError(
            f"pictures of {side} px have too little detail beyond {base} px; render {2 * base} px"
        )
    grey = (images.cpu().double() * torch.tensor(LUMINANCE, dtype=torch.float64)[:, None, None]).sum(1)
    window = torch.hann_window(side, periodic=False, dtype=torch.float64)
    power = torch.fft.fft2(grey * window[:, None] * window).abs().square().mean(0) / side**2
    waves = torch.fft.fftfreq(side, 1 / side, dtype=torch.float64)
    radius = (waves[:, None].square() + waves.square()).sqrt()
    edges = torch.logspace(math.log10(base / 2), math.log10(side / 2), BANDS + 1, dtype=torch.float64)
    found = [power[(radius >= a) & (radius < b)].mean() for a, b in itertools.pairwise(edges)]
    return torch.stack(found).clamp_min(FLOOR).log10().float()


def detail_distance(images: Image, truth: Image, base: int) -> float:
    """Root mean square difference of the two spectra in decibels."""
    difference = high_spectrum(images, base) - high_spectrum(truth, base)
    return 10 * float(difference.square().mean().sqrt())


def noisy(first: Image, truth: Image, base: int, *, stream: torch.Generator) -> Image:
    """`first` with as much white noise as gives it the high-frequency energy of `truth`."""
    wanted = _energy(truth, base) - _energy(first, base)
    noise = torch.randn(first.shape[0], 1, *first.shape[2:], generator=stream).to(first)
    return first + noise * math.sqrt(max(wanted, 0.0) / _energy(noise.expand_as(first), base))


def _energy(images: Image, base: int) -> float:
    """High-frequency energy of luminance: what is left of a picture without its reduced version."""
    grey = (images * torch.tensor(LUMINANCE).to(images)[:, None, None]).sum(1, keepdim=True)
    small = F.interpolate(grey, (base, base), mode="bilinear", antialias=True)
    low = F.interpolate(small, grey.shape[2:], mode="bilinear")
    return float((grey - low).square().mean())


def measure(
    mesh: Mesh,
    light: EnvironmentLight,
    stages: Mapping[int, TextureMaps],
    truth: TextureMaps,
    other: TextureMaps,
    *,
    base: int,
    size: int,
) -> Measured:
    """Compare the maps after some steps of a stage (0: those it began with) from cameras no step has used.

    `truth` wears the material that was asked for, `other` the same with another phase: how near two pictures
    of one material come. InputError without the maps of step 0.
    """
    if 0 not in stages:
        raise InputError("the maps with which the stage began are missing; they are step 0")
    render = MeshRenderer(mesh, light, size)

    def seen(maps: TextureMaps) -> Image:
        with torch.no_grad():
            return render(maps, unseen_shot()).clamp(0, 1)

    first, wanted = seen(stages[0]), seen(truth)
    rows, pictures = list[dict[str, Any]](), {"truth": _shown(wanted)}
    for step, maps in sorted(stages.items()):
        now = first if step == 0 else seen(maps)
        rows.append(
            {"step": step, "drift": drift(now, first, base), "detail": detail_distance(now, wanted, base)}
        )
        pictures[f"step_{step:06d}"] = _shown(now)
    noise = noisy(first, wanted, base, stream=generator(0, "anchoring", "white noise"))
    controls = {
        "start": rows[0]["detail"],
        "noise": detail_distance(noise, wanted, base),
        "same_material": detail_distance(seen(other), wanted, base),
    }
    return Measured(rows, controls, pictures)


def _shown(images: Image) -> Tensor:
    return (linear_to_srgb(images[SHOWN_VIEW]) * 255).round().to(torch.uint8).contiguous()
