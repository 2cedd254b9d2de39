"""The distribution of cameras, light and background, shared by synthesis and by the training pictures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from castex.settings.base import Settings


class ShotSettings(Settings):
    """Distribution of cameras, light and background during texture synthesis."""

    views: Annotated[int, Field(ge=1, le=256)] = 8
    """Cameras per step."""
    fov: Annotated[float, Field(gt=0, lt=180)] = 30.0
    """Vertical and horizontal field of view in degrees."""
    distance: Annotated[float, Field(gt=0)] = 4.4
    """Mean distance of the cameras from the origin; the object's longest side is 2."""
    distance_spread: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """The distance of a step is drawn from distance x U(1 - spread, 1 + spread), one draw for all views."""
    elevation: Annotated[float, Field(ge=0, le=90)] = 60.0
    """Elevations are drawn from U(-elevation, elevation), in degrees."""
    rotate_light: bool = True
    """Turn the object in the light by a uniform random angle, one draw per step."""
    random_background: bool = True
    """One uniform random RGB colour per step; otherwise `background`."""
    background: tuple[float, float, float] = (0.05, 0.05, 0.05)
    """Linear colour behind the object when it is not random."""
