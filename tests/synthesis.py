"""A small synthesis task with a closed-form score, shared by the tests of the loop and of its faults."""

from __future__ import annotations

import torch
from surfaces import random_light, random_maps, sphere

from castex.cascade import KnownTexture, PixelSpace
from castex.schedule import squared_cosine
from castex.settings.shot import ShotSettings
from castex.settings.synthesis import (
    AdamSettings,
    DipShape,
    DistilSettings,
    HashGridShape,
    ParameterSettings,
    StageSettings,
)
from castex.synthesise import Task

TEXELS = 16
LIGHT = random_light(torch.Generator().manual_seed(5))
KNOWN = random_maps(TEXELS, TEXELS, torch.Generator().manual_seed(21))


def settings(
    *,
    steps=12,
    learning_rate=0.05,
    noise="fresh",
    checkpoint_every=2,
    views=2,
    size=32,
    snapshots=(),
    **texture,
):
    shape = {"dip": DipShape(width=4, scales=2), "size": TEXELS}
    grid = HashGridShape(levels=2, table=8, coarsest=4, finest=8, width=8)
    return StageSettings(
        adam=AdamSettings(
            steps=steps,
            learning_rate=learning_rate,
            checkpoint_every=checkpoint_every,
            observe_every=2,
            preview_every=10**6,
            snapshots=snapshots,
        ),
        shot=ShotSettings(views=views, distance_spread=0.1),
        render_size=size,
        distil=DistilSettings(form="x0", noise=noise),
        texture=ParameterSettings(**shape | {"hash_grid": grid} | texture),
    )


def task(chosen=None, *, seed=0, given=None, mesh=None):
    chosen = settings() if chosen is None else chosen
    return Task(sphere(12, 12) if mesh is None else mesh, LIGHT, chosen, seed, "ball", "test", given)


def pull(chosen, size=16, known=KNOWN):
    """The guide of a task: towards renders of known maps."""

    def guide(render, start, memory):
        return KnownTexture(render, known, PixelSpace(size), squared_cosine(), chosen.distil, memory)

    return guide


class Counted:
    """A guidance that calls `on_call(k)` before the k-th gradient, and may answer with NaN."""

    def __init__(self, guidance, on_call=lambda k: None, bad=None):
        self.guidance, self.on_call, self.bad, self.calls = guidance, on_call, bad, 0

    def gradient(self, image, shot, *, progress, generator):
        self.on_call(self.calls)
        gradient = self.guidance.gradient(image, shot, progress=progress, generator=generator)
        if self.calls == self.bad:
            gradient[0, 0, 0, 0] = float("nan")
        self.calls += 1
        return gradient
