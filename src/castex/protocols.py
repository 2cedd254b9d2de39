"""The seams of the package: shape aliases and the contracts between stations of the chain.

`image` is `views 3 height width` with values in [0, 1]; a predictor's `sample` lives in [-1, 1] (pixel
space) or is a latent code (latent space). The gradient of guidance is a value with the image's shape, not
a loss: the loop calls `image.backward(gradient)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "views 3 height width"]
Sample = Float[Tensor, "batch channels rows columns"]
Text = Float[Tensor, "prompts tokens features"]

Maps_co = TypeVar("Maps_co", covariant=True)
Maps_contra = TypeVar("Maps_contra", contravariant=True)
Shot_contra = TypeVar("Shot_contra", contravariant=True)


@runtime_checkable
class Texture(Protocol[Maps_co]):
    """What Adam owns. `maps()` is what the renderer sees; for the 2D toy that is the image itself."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The tensors to optimise."""
        ...

    def maps(self) -> Maps_co:
        """The physical value, differentiable in the parameters."""
        ...

    def project_(self) -> None:
        """Put the parameters back into their valid range, in place."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All state, buffers included, for a checkpoint."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Undo `state_dict`."""
        ...


@runtime_checkable
class Renderer(Protocol[Maps_contra, Shot_contra]):
    """Deterministic: all randomness of an iteration is inside the shot."""

    def __call__(self, maps: Maps_contra, shot: Shot_contra) -> Image:
        """Render `maps` as seen by `shot`."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """What a prediction depends on beside the noisy sample; a predictor ignores what it does not know.

    There is no mask over the tokens: the text encoders of DeepFloyd use one, its UNets do not.
    """

    text: Text | None = None
    """Embedded prompts, one per sample, or one for all of them."""
    low_resolution: Float[Tensor, "batch 3 rows columns"] | None = None
    """For an upsampler: a low-resolution picture in [-1, 1] at the size of the sample, already noised."""
    noise_level: int | None = None
    """Timestep of the noise on it."""
    depth: Float[Tensor, "batch 3 height width"] | None = None
    """For a depth ControlNet: nearness in [0, 1], thrice, at the size of the picture."""
    depth_scale: float = 1.0
    """Factor on what the ControlNet adds."""


NO_CONDITION = Condition()


@runtime_checkable
class NoisePredictor(Protocol):
    """A diffusion model, learned or in closed form: noisy sample and timestep to predicted noise.

    Channels of a predicted variance are dropped. Whether samples are pixels in [-1, 1] or latent codes is the
    predictor's own affair; `PixelGuidance` and `LatentGuidance` go with the one and the other.
    """

    def __call__(self, x_t: Sample, timestep: int, condition: Condition = NO_CONDITION) -> Sample:
        """The predicted noise eps_hat(x_t, t, condition)."""
        ...


@runtime_checkable
class Guidance(Protocol[Shot_contra]):
    """Turns a rendered image into the direction in which it should move."""

    def gradient(
        self, image: Image, shot: Shot_contra, *, progress: float, generator: torch.Generator
    ) -> Image:
        """The gradient with respect to `image`; `progress` is step / steps in [0, 1)."""
        ...


@runtime_checkable
class Codec(Protocol):
    """The autoencoder of a latent diffusion model, images in [0, 1] on its pixel side."""

    @property
    def identity(self) -> str:
        """A string that changes with the weights; a checkpoint made with another codec is not resumed."""
        ...

    def encode(self, image: Image, generator: torch.Generator | None = None) -> Sample:
        """Scaled latent code, differentiable in `image`: the posterior mean, or with a generator a sample."""
        ...

    def decode(self, code: Sample) -> Image:
        """The picture of a code, clamped to [0, 1]."""
        ...
