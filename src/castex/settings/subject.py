"""What is textured: an object and what is asked of it; which textures an exhibit shows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from castex.settings.base import Name, Settings


class SubjectSettings(Settings):
    """One object with one prompt."""

    asset: Name
    """Row of the asset sheet."""
    prompt: Annotated[str, Field(pattern=r"\S")]
    """What it should look like; view words are added."""
    dress: Name | None = None
    """Entry of `dresses` that is what the prompt asks for, to compare with; it needs the same asset."""


class TexturesSweep(Settings):
    """Every method on every subject with every seed."""

    methods: list[Name]
    """Names of entries of `variants`."""
    subjects: list[Name]
    """Names of entries of `subjects`."""
    seeds: list[Annotated[int, Field(ge=0)]]
    """Seeds of shots and noise."""


class TexturesSettings(Settings):
    """An exhibit made of textures, at its two sizes."""

    reduced: TexturesSweep
    """What `all` runs."""
    full: TexturesSweep
    """What `--config replicates=full` runs."""
