"""Where the cameras are, how the light is turned, and what lies behind: one draw per optimiser step.

The object stays where it is. Azimuth 0 looks at its front (+Z), 90 degrees at its +X side; elevation 90 looks
down from +Y. `light_rotation` is the angle by which the object is turned about +Y *inside* the environment: a
direction d of the object's frame sees the light from R_y(light_rotation) d. The paper turns the mesh and the
light stands still; turning the lookup instead is the same picture without 3,000 in-place rotations.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from castex.settings.shot import ShotSettings as ShotSettings

Angles = Float[Tensor, "views"]
EVALUATION_FOV = math.degrees(2 * math.atan(16 / 35))
EVALUATION_DISTANCE = 2.8
TOP_ELEVATION = 45.0


@dataclass(frozen=True)
class Shot:
    """Everything random about one rendering; angles in radians, colours linear."""

    azimuth: Angles
    elevation: Angles
    distance: float
    fov: float
    light_rotation: float
    background: Float[Tensor, "3"]

    def __len__(self) -> int:
        """Number of views."""
        return len(self.azimuth)

    def eyes(self) -> Float[Tensor, "views 3"]:
        """Camera centres in the object's frame, float64."""
        return self.axes()[:, 2] * self.distance

    def axes(self) -> Float[Tensor, "views 3 3"]:
        """Rows: the camera's right, up and backward axes in the object's frame, float64.

        Right is taken from the azimuth alone, so that looking straight down is no special case.
        """
        azimuth, elevation = self.azimuth.double(), self.elevation.double()
        zero = torch.zeros_like(azimuth)
        right = torch.stack([azimuth.cos(), zero, -azimuth.sin()], dim=1)
        back = torch.stack(
            [elevation.cos() * azimuth.sin(), elevation.sin(), elevation.cos() * azimuth.cos()], dim=1
        )
        return torch.stack([right, torch.linalg.cross(back, right), back], dim=1)

    def view(self, index: int) -> Shot:
        """The shot of one view alone; light and background stay."""
        pick = slice(index, index + 1)
        return dataclasses.replace(self, azimuth=self.azimuth[pick], elevation=self.elevation[pick])


def sample_shot(settings: ShotSettings, *, generator: torch.Generator) -> Shot:
    """Draw one shot: cameras per view; distance, light rotation and background once (paper, section 4)."""
    uniform = torch.rand(2 * settings.views + 5, generator=generator, dtype=torch.float64)
    per_view, once = uniform[:-5].view(2, settings.views), uniform[-5:]
    background = once[2:].float() if settings.random_background else torch.tensor(settings.background)
    return Shot(
        azimuth=2 * math.pi * per_view[0],
        elevation=math.radians(settings.elevation) * (2 * per_view[1] - 1),
        distance=settings.distance * (1 + settings.distance_spread * (2 * float(once[0]) - 1)),
        fov=settings.fov,
        light_rotation=2 * math.pi * float(once[1]) if settings.rotate_light else 0.0,
        background=background,
    )


def fixed_shot(
    azimuth: list[float],
    elevation: list[float],
    *,
    distance: float = 4.4,
    fov: float = 30.0,
    light_rotation: float = 0.0,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Shot:
    """A shot from angles in *degrees*."""
    return Shot(
        azimuth=torch.tensor(azimuth, dtype=torch.float64).deg2rad(),
        elevation=torch.tensor(elevation, dtype=torch.float64).deg2rad(),
        distance=distance,
        fov=fov,
        light_rotation=math.radians(light_rotation),
        background=torch.tensor(background),
    )


def evaluation_shot() -> Shot:
    """The 20 views of the benchmark: 4 at elevation 0, 8 at 30, 8 at 60 degrees; white background.

    35 mm lens on a 32 mm sensor, at 1.4 times the longest side (2.8 here).
    """
    rings = [(0.0, [45.0 + 90.0 * k for k in range(4)])]
    rings += [(elevation, [45.0 * k for k in range(8)]) for elevation in (30.0, 60.0)]
    return fixed_shot(
        [angle for _, ring in rings for angle in ring],
        [elevation for elevation, ring in rings for _ in ring],
        distance=EVALUATION_DISTANCE,
        fov=EVALUATION_FOV,
    )


def orbit(
    views: int, *, elevation: float = 20.0, distance: float = 4.4, fov: float = 30.0, start: float = 0.0
) -> Shot:
    """A turntable: `views` cameras evenly around the object, angles in degrees, white background."""
    angles = [start + 360.0 * k / views for k in range(views)]
    return fixed_shot(angles, [elevation] * views, distance=distance, fov=fov)


def view_words(shot: Shot, form: Literal["corrected", "faithful"] = "corrected") -> list[str]:
    """The paper's suffix per view: front, side, backside by quadrant; top and bottom beyond 45 degrees.

    `corrected` measures the azimuth from the object's own front. `faithful` measures it as the released code
    does, from the camera before the object was turned in the light, which makes the word meaningless.
    """
    turn = shot.light_rotation if form == "faithful" else 0.0
    azimuths = torch.rad2deg(shot.azimuth + turn).tolist()
    return [
        _word(azimuth, elevation)
        for azimuth, elevation in zip(azimuths, torch.rad2deg(shot.elevation).tolist(), strict=True)
    ]


def _word(azimuth: float, elevation: float) -> str:
    if abs(elevation) > TOP_ELEVATION:
        return "top view" if elevation > 0 else "bottom view"
    quadrant = math.floor(((azimuth + 45.0) % 360.0) / 90.0)
    return ("front view", "side view", "backside view", "side view")[quadrant]
