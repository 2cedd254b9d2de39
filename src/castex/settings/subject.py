"""What is textured: an object and what is asked of it."""

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
