"""Mini meshes made by code: what the models of the laptop scale are trained and judged on.

Every object stands upright (+Y) with its front towards +Z, is centred with its longest side 2, is closed
seen from outside (open vessels have an inner wall), and has normals that are split at hard edges and an
atlas without overlaps and with nearly even texel density. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Callable

from castex.errors import InputError
from castex.scene import Scene
from castex.training.shapes.buildings import house
from castex.training.shapes.chart import Part, scene
from castex.training.shapes.figures import duck, mushroom, robot
from castex.training.shapes.furniture import chair, lamp, table
from castex.training.shapes.vehicles import boat, car, rocket
from castex.training.shapes.vessels import barrel, bottle, bowl, mug, teapot, vase

NAMES = (
    "vase",
    "mug",
    "bowl",
    "bottle",
    "teapot",
    "barrel",
    "chair",
    "table",
    "lamp",
    "house",
    "mushroom",
    "robot",
    "duck",
    "rocket",
    "boat",
    "car",
)


def build(name: str) -> Scene:
    """The object called `name` (one of `NAMES`) as a scene of one primitive with one light grey material."""
    return scene(name, _parts(name))


def _parts(name: str) -> Part:
    makers: list[Callable[[], Part]] = [vase, mug, bowl, bottle, teapot, barrel, chair, table, lamp, house]
    makers += [mushroom, robot, duck, rocket, boat, car]
    for known, maker in zip(NAMES, makers, strict=True):
        if known == name:
            return maker()
    raise InputError(f"there is no mini mesh called {name!r}; choose from {', '.join(NAMES)}")
