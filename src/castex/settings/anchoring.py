"""Settings of Figure 3 in closed form: an upsampler of normal pictures, and how it is distilled."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from castex.settings.base import Settings
from castex.settings.synthesis import DistilSettings, WindowSettings


class AnchoringTheorySettings(Settings):
    """Pictures that are block means plus fine detail, all normal, so that the best upsampler is a formula."""

    size: Annotated[int, Field(ge=8, le=512)] = 32
    """Side of a picture in pixels."""
    factor: Annotated[int, Field(ge=2, le=16)] = 4
    """Side of a block in pixels."""
    low_deviation: Annotated[float, Field(gt=0)] = 0.3
    """Of the block means, around 0."""
    high_deviation: Annotated[float, Field(gt=0)] = 0.1
    """Of what is left of a picture without its block means."""
    level: Annotated[int, Field(ge=1, le=999)] = 250
    """Timestep of the noise on the condition."""
    steps: Annotated[int, Field(ge=3)] = 400
    """Steps of plain gradient descent."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Of a picture, whose gradient is w(t) (x - x0_hat)."""
    runs: Annotated[int, Field(ge=2)] = 8
    """Runs, each from a picture of its own."""
    distil: DistilSettings = DistilSettings(
        form="x0", guidance_scale=1, window=WindowSettings(form="constant", lowest_first=20)
    )
    """The loss; without a clamp, which no formula knows."""

    @model_validator(mode="after")
    def _has_a_closed_form(self) -> AnchoringTheorySettings:
        if self.size % self.factor:
            raise ValueError(f"size={self.size} is no multiple of factor={self.factor}")
        derived = (self.distil.form, self.distil.noise, self.distil.window.form)
        if derived != ("x0", "fresh", "constant"):
            raise ValueError("the derivation is for form: x0, noise: fresh and a constant window")
        return self
