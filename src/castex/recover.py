"""The toy experiment on a mesh: recover known texture maps from the point mass at their renders.

Figure 2 asks what a perfect score makes of a picture, in pixel and in latent space, value by value and
through a deep image prior. Here the picture is a render of known maps, and the maps themselves are measured.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from castex.cascade import KnownTexture, LatentSpace, MeshRender, PixelSpace, Space
from castex.errors import InputError
from castex.maps import TextureMaps, linear_to_srgb
from castex.photograph import fitting_distance
from castex.protocols import Codec, Guidance, Image
from castex.render import MeshRenderer
from castex.schedule import squared_cosine
from castex.score import psnr
from castex.settings.synthesis import StageSettings
from castex.shot import Shot, orbit
from castex.synthesise import Guide, Synthesis, Task, start_maps, synthesise

TEST_VIEWS, TEST_START = 8, 22.5
"""Cameras of the measurement: a circle at the height of the object, between the front and the sides."""
INFLUENCE = 0.05


def space_of(settings: StageSettings, codec: Codec | None) -> Space:
    """Where an arm's score lives; pixels and codes are those of the whole render.

    InputError for a latent arm without an autoencoder, and for an upsampler, which has no point mass.
    """
    match settings.kind:
        case "base":
            return PixelSpace(settings.render_size)
        case "latent":
            if codec is None:
                raise InputError("a latent arm needs --vae, the autoencoder whose codes it compares")
            return LatentSpace(settings.render_size, codec, settings.posterior)
        case "upsampler":
            raise InputError("an arm of kind 'upsampler' has no point-mass score; use base or latent")


def recover(
    task: Task, known: TextureMaps, codec: Codec | None, *, checkpoints: Path, preview: Path | None = None
) -> Synthesis:
    """Run one arm; resumable, with the errors of `castex.synthesise.synthesise`."""
    return synthesise(task, _towards(task, known, codec), checkpoints=checkpoints, preview=preview)


def _towards(task: Task, known: TextureMaps, codec: Codec | None) -> Guide:
    space, target = space_of(task.settings, codec), known.to(task.settings.execution.device)

    def guide(render: MeshRender, start: TextureMaps, memory: dict[str, Tensor]) -> Guidance[Shot]:
        """A perfect score: it knows the render of the known maps from every shot."""
        return KnownTexture(render, target, space, squared_cosine(), task.settings.distil, memory)

    return guide


def recovery_scores(
    task: Task, maps: TextureMaps, known: TextureMaps, codec: Codec | None
) -> dict[str, float]:
    """PSNR in dB of the maps that were learned, and of renders from unseen cameras.

    `psnr_<map>` over the texels that those renders show; `psnr_views` over whole pictures, clamped to
    [0, 1]; for latent arms `psnr_views_decoded` of the same after the autoencoder, and `psnr_views_ceiling`
    of the known maps' renders after it. With the ending `_start`: of the maps that the arm began with, its
    control.
    """
    device = task.settings.execution.device
    maps, known, start = (each.to(device) for each in (maps, known, start_maps(task)))
    render, shot = unseen(task)
    texels, wanted = seen_texels(render, shot, known), render(known, shot).detach().clamp(0, 1)
    found = dict[str, float]()
    for ending, candidate in (("", maps), ("_start", start)):
        for learned in task.settings.texture.learned:
            ours, theirs = (_texels(each, learned, texels) for each in (candidate, known))
            found[f"psnr_{learned}{ending}"] = psnr(ours, theirs)
        found[f"psnr_views{ending}"] = psnr(render(candidate, shot), wanted)
    if codec is not None:
        with torch.no_grad():
            for name, shown in (("decoded", render(maps, shot).clamp(0, 1)), ("ceiling", wanted)):
                found[f"psnr_views_{name}"] = psnr(codec.decode(codec.encode(shown)), wanted)
    return found


def seen_texels(render: MeshRenderer, shot: Shot, maps: TextureMaps) -> Bool[Tensor, "height width"]:
    """Texels that have at least `INFLUENCE` of the mean influence on the renders of a shot.

    Pixels at a silhouette look up coarse levels, to which texels on the far side belong too, a little.
    """
    albedo = maps.albedo.detach().clone().requires_grad_()
    render(dataclasses.replace(maps, albedo=albedo), shot).sum().backward()  # type: ignore[no-untyped-call]
    assert albedo.grad is not None
    influence = albedo.grad.abs().sum(-1)
    return influence > INFLUENCE * influence.mean()


def _texels(
    maps: TextureMaps, name: str, texels: Bool[Tensor, "rows columns"]
) -> Float[Tensor, "1 3 1 texels"]:
    """The chosen texels of a map as a picture of one row, grey where it has one channel."""
    values: Tensor = getattr(maps, name)[texels]
    shown = (values + 1) / 2 if name == "normal" else values
    return shown.T.expand(3, -1)[None, :, None]


def unseen(task: Task) -> tuple[MeshRenderer, Shot]:
    """A renderer and a circle of cameras that no step has seen, at the size of the arm."""
    shot = orbit(TEST_VIEWS, start=TEST_START)
    distance = fitting_distance(task.mesh, shot.fov)
    device = task.settings.execution.device
    render = MeshRenderer(task.mesh.to(device), task.light.to(device), task.settings.render_size)
    return render, dataclasses.replace(shot, distance=distance)


@torch.no_grad()
def recovered_pictures(
    task: Task, maps: TextureMaps, known: TextureMaps, codec: Codec | None
) -> dict[str, Image]:
    """What a figure shows, sRGB in [0, 1], of the known maps and of the recovered ones (`found`).

    `<which>_albedo`, and `<which>_view`, the first unseen view as the arm renders it; for latent arms
    `found_decoded` too, that view after the autoencoder.
    """
    device = task.settings.execution.device
    maps, known = maps.to(device), known.to(device)
    render, shot = unseen(task)
    pictures = dict[str, Image]()
    for name, shown in (("known", known), ("found", maps)):
        view = render(shown, shot)[:1].clamp(0, 1)
        pictures[f"{name}_view"] = linear_to_srgb(view)
        pictures[f"{name}_albedo"] = linear_to_srgb(shown.albedo.permute(2, 0, 1)[None])
        if codec is not None and name == "found":
            pictures["found_decoded"] = linear_to_srgb(codec.decode(codec.encode(view)))
    return {name: picture.cpu().contiguous() for name, picture in pictures.items()}


def known_maps(maps: TextureMaps, settings: StageSettings) -> TextureMaps:
    """The maps to be recovered; InputError unless they have the size of those that are learned."""
    height, width = maps.albedo.shape[:2]
    size = settings.texture.size
    if (height, width) != (size, size):
        raise InputError(
            f"the known maps have {width} x {height} texels and the arm learns {size} x {size}; dress the "
            "mesh at that size, or change texture.size"
        )
    return maps
