"""Settings of the experiments that show meshes: procedural dress, lights, pictures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from castex.settings.base import Name, Settings


class DressSettings(Settings):
    """An asset and what it wears: a procedural material, or what its own file says."""

    asset: Name
    """Row of the asset sheet."""
    material: Name | None = None
    """Procedural material; empty means the materials of the asset's own file."""
    colour: Name | None = None
    """Named colour of the material."""
    size: Annotated[int, Field(ge=16, le=4096)] = 512
    """Side of the maps in texels."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Where the pattern begins."""

    @model_validator(mode="after")
    def _is_whole(self) -> DressSettings:
        if (self.material is None) != (self.colour is None):
            raise ValueError("a procedural dress needs both `material` and `colour`")
        return self


class RelightingSettings(Settings):
    """The exhibit `relighting`: maps and lights of a few dressed assets."""

    dresses: list[Name]
    """Rows of the figure, names of entries of `dresses`."""
    lights: Annotated[list[Name], Field(min_length=1)]
    """Columns after the maps, names of entries of `lights`."""
    size: Annotated[int, Field(ge=16, le=2048)] = 256
    """Side of the pictures in pixels."""
    azimuth: float = 30.0
    """Degrees from the front."""
    elevation: Annotated[float, Field(ge=-90, le=90)] = 20.0
    """Degrees above the horizon."""
