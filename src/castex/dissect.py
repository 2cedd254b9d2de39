"""One step of a stage, opened up: every picture between the texture maps and the gradient (Figure 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from castex.cascade import PixelSpace, TextGuidance
from castex.errors import InputError
from castex.maps import TextureMaps, linear_to_srgb
from castex.protocols import Condition
from castex.settings.synthesis import StageSettings
from castex.shot import sample_shot
from castex.synthesise import Guide, MeshRender

Pictures = dict[str, Tensor]
SHOWN = 0.99
"""Share of a gradient's values that are shown without clamping."""


def dissected(
    maps: TextureMaps,
    start: TextureMaps,
    settings: StageSettings,
    render: MeshRender,
    guide: Guide,
    *,
    timestep: int,
    stream: torch.Generator,
) -> Pictures:
    """Pictures of the first view of a shot, (3, rows, columns), by name.

    `albedo`, `roughness`, `metallic`, `normal`: the maps. `render`: at its own size. `sample`: what the model
    is shown of it. `noisy`: x_t. `predicted`: x0_hat, clamped. `gradient`: what would be added to the render,
    scaled so that 0.5 is nothing and the largest values, but for a hundredth, reach 0 or 1. An upsampler adds
    `anchor`, the render that it is to keep to, and `condition`, what it is shown of that. Linear colours
    are encoded to sRGB. InputError for a stage that works on codes.
    """
    shot = sample_shot(settings.shot, generator=stream)
    guidance = guide(render, start, {})
    if not isinstance(guidance, TextGuidance) or not isinstance(guidance.space, PixelSpace):
        raise InputError("the pictures of a step are those of a pixel-space model; a code is no picture")
    with torch.no_grad():
        image = render(maps, shot)
        condition = Condition(text=guidance.prompt.of(shot))
        found = map_pictures(maps) | {"render": linear_to_srgb(image[0])}
        if guidance.anchor is not None:
            condition = guidance.anchor.condition(condition, image, shot, generator=stream)
            anchored = guidance.anchor.settings.source == "anchored"
            found["anchor"] = linear_to_srgb((render(start, shot) if anchored else image)[0])
            assert condition.low_resolution is not None
            found["condition"] = _sample(condition.low_resolution[0])
        sample = guidance.space.encode(image, stream)
        eps = torch.randn(sample.shape, generator=stream).to(sample)
        distillation = guidance.distillation
        x_t = distillation.schedule.noised(sample, eps, timestep)
        eps_hat = distillation.predictor(x_t, timestep, condition)
        x0_hat = distillation.schedule.clean(x_t, eps_hat, timestep)
    leaf = image.clone().requires_grad_()
    with torch.enable_grad():
        encoded = guidance.space.encode(leaf, stream)
    pull = distillation.weighted(sample, timestep, eps, condition)
    (gradient,) = torch.autograd.grad(encoded, leaf, pull)
    found |= {"sample": _sample(sample[0]), "noisy": _sample(x_t[0]), "predicted": _sample(x0_hat[0])}
    found["gradient"] = 0.5 - 0.5 * gradient[0] / gradient[0].abs().quantile(SHOWN).clamp_min(1e-12)
    return {name: picture.clamp(0, 1).cpu().contiguous() for name, picture in found.items()}


def map_pictures(maps: TextureMaps) -> Pictures:
    """The four maps as a viewer shows them: albedo in sRGB, normals around (0.5, 0.5, 1)."""
    flat = {
        "albedo": linear_to_srgb(maps.albedo),
        "roughness": maps.roughness.expand(-1, -1, 3),
        "metallic": maps.metallic.expand(-1, -1, 3),
        "normal": (maps.normal + 1) / 2,
    }
    return {name: values.permute(2, 0, 1) for name, values in flat.items()}


def _sample(values: Tensor) -> Tensor:
    """A sample in [-1, 1] of linear colours as sRGB."""
    return linear_to_srgb(((values + 1) / 2).clamp(0, 1))
