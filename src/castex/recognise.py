"""Is a texture recognised? A judge names what it sees of the object from cameras that no step has used."""

from __future__ import annotations

from typing import Any

import torch

from castex.errors import InputError
from castex.judge import Judge
from castex.light import EnvironmentLight
from castex.maps import TextureMaps, grey_maps
from castex.mesh import Mesh
from castex.protocols import Image
from castex.render import MeshRenderer
from castex.shot import Shot, fixed_shot
from castex.training.naming import accuracies, labels_in, name_pictures, words_of
from castex.training.sentences import SILENT

SIZE, DISTANCE, BACKGROUND = 128, 3.9, (0.5, 0.5, 0.5)
"""Side in pixels, mean distance of the judge's training pictures, and a linear grey behind the object."""
AZIMUTHS = tuple(22.5 + 45.0 * k for k in range(8))
ELEVATIONS = (10.0, 40.0) * 4


def unseen_shot() -> Shot:
    """Eight cameras around the object, by turns a little and well above the horizon."""
    return fixed_shot(list(AZIMUTHS), list(ELEVATIONS), distance=DISTANCE, background=BACKGROUND)


@torch.no_grad()
def pictures_of(mesh: Mesh, maps: TextureMaps, light: EnvironmentLight) -> Image:
    """Linear renders in [0, 1], one per camera of `unseen_shot`."""
    return MeshRenderer(mesh, light, SIZE)(maps, unseen_shot()).clamp(0, 1)


def recognised(
    judge: Judge, mesh: Mesh, maps: TextureMaps, light: EnvironmentLight, prompt: str
) -> dict[str, Any]:
    """Shares of views whose colour and material the judge calls as the prompt does, and its words per view.

    Rows (variant, metric, value, count): `ours`, and `control`, the same object in grey. InputError for a
    prompt that names neither a colour nor a material that the judge knows.
    """
    wanted = labels_in([prompt] * len(AZIMUTHS))
    if bool((wanted.material == SILENT).all() and (wanted.colour == SILENT).all()):
        raise InputError(
            f"the prompt {prompt!r} names no colour and no material of the judge; ask for something like "
            "'a red striped mug'"
        )
    rows, words = list[dict[str, Any]](), list[Any]()
    for variant, shown in (("ours", maps), ("control", grey_maps(maps.albedo.shape[0]))):
        named = name_pictures(judge, pictures_of(mesh, shown, light))
        rows += [{"variant": variant, **row} for row in accuracies(named, wanted)]
        words = words or words_of(named)
    return {"prompt": prompt, "rows": rows, "named": words}
