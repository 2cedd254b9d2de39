"""Train the mini stage I: a pixel-space text-to-image model of DeepFloyd's classes at 32 px.

A small one may learn from a larger one. What a network can know of the noise is its mean given x_t; the noise
itself is that mean and a large rest, which a larger network's prediction does not have, so that every picture
teaches more (Hinton et al. 2015, distilling).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from castex.schedule import squared_cosine
from castex.settings.training import TrainBaseSettings
from castex.training.cascade_file import save_base
from castex.training.corpus_data import Pictures
from castex.training.denoiser import Noising, as_samples, errors, flipped, normal, with_empty
from castex.training.narrow import narrow_
from castex.training.networks import new_unet
from castex.training.t5 import TextInput, embedded

if TYPE_CHECKING:
    from transformers import T5EncoderModel, T5Tokenizer


class BaseRecipe:
    """Pictures and captions in, the error of the predicted noise out."""

    def __init__(
        self,
        name: str,
        settings: TrainBaseSettings,
        pictures: Pictures,
        text: tuple[T5Tokenizer, T5EncoderModel],
        teacher: nn.Module | None = None,
    ) -> None:
        """`text`: the trained tokenizer and encoder, which stay as they are. `teacher`: a wider UNet."""
        self.name, self._teacher = name, teacher
        self._pictures, self._device = pictures, torch.device(settings.training.device)
        self.unet = new_unet(settings.shape, size=settings.size, upsampler=False, seed=settings.training.seed)
        self._tokenizer, self._encoder = text
        self._encoder.requires_grad_(False).to(self._device)  # type: ignore[arg-type]
        self._text = TextInput(self._tokenizer)
        self._noising = Noising(squared_cosine(), self._device)
        if teacher is not None:
            narrow_(self.unet, teacher)
            teacher.to(self._device)

    def networks(self) -> Mapping[str, nn.Module]:
        """The UNet alone: the text encoder is frozen."""
        return {"unet": self.unet}

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The loss of one batch."""
        index = self._pictures.draw(batch, stream)
        captions = with_empty(self._pictures.captions(index, stream), stream)
        x = as_samples(flipped(self._pictures.layers["image"][index], stream), self._device)
        t, eps = self._noising.important_timesteps(batch, stream), normal(x.shape, stream, self._device)
        with torch.no_grad():
            states = embedded(self._encoder, self._text, captions, self._device)
            x_t = self._noising.noised(x, eps, t)
            target = eps if self._teacher is None else _predicted(self._teacher, x_t, t, states).float()
        return errors(_predicted(self.unet, x_t, t, states), target).mean()

    def export(self, averages: nn.ModuleDict, folder: Path) -> None:
        """Write an IFPipeline's folder in half precision."""
        save_base(folder, averages["unet"], self._encoder, self._tokenizer)


def _predicted(unet: nn.Module, x_t: Tensor, t: Tensor, states: Tensor) -> Tensor:
    eps_hat: Tensor = unet(x_t, t, states).sample[:, :3]
    return eps_hat
