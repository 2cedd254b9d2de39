"""What all settings classes share: the frozen base, and the patterns of names, hashes and addresses."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$")]


class Settings(BaseModel):
    """Base: immutable, and an unknown key is an error that names the key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
