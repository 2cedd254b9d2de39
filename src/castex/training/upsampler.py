"""Train the mini stage II: a super-resolution model of DeepFloyd's classes, 32 to 128 px.

The low-resolution condition is noised to a level drawn from the whole schedule, and the level is the class
label (Ho et al. 2022, conditioning augmentation), so that one model serves every level; low levels come more
often, for the others say little about the picture. Half of the conditions are reduced and enlarged to the
nearest pixel, as the paper's released code does in synthesis, the others reduced with antialiasing and
enlarged bilinearly. Unlike in diffusers they are not stretched to aligned corners: a crop does not tell where
it lies, so a shift that depends on the place could not be undone (it alone costs 0.8 dB).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from castex.diffusion.deepfloyd import low_resolution
from castex.schedule import squared_cosine
from castex.settings.models import LowResolutionSettings
from castex.settings.training import TrainUpsamplerSettings
from castex.training.cascade_file import save_upsampler
from castex.training.corpus_data import Pictures
from castex.training.denoiser import Noising, as_samples, errors, flipped, normal, with_empty
from castex.training.networks import new_unet
from castex.training.t5 import TextInput, embedded
from castex.training.upsampler_start import linear_start_

if TYPE_CHECKING:
    from transformers import T5EncoderModel, T5Tokenizer

Batch = Float[Tensor, "batch 3 rows columns"]


class UpsamplerRecipe:
    """Crops of pictures with their low-resolution condition in, the weighted error of the noise out."""

    def __init__(
        self,
        name: str,
        settings: TrainUpsamplerSettings,
        pictures: Pictures,
        text: tuple[T5Tokenizer, T5EncoderModel],
    ) -> None:
        """`text`: the trained tokenizer and encoder, which stay as they are."""
        self.name, self._settings = name, settings
        self._pictures, self._device = pictures, torch.device(settings.training.device)
        self.unet = new_unet(settings.shape, size=settings.size, upsampler=True, seed=settings.training.seed)
        self._tokenizer, self._encoder = text
        self._encoder.requires_grad_(False).to(self._device)  # type: ignore[arg-type]
        self._text = TextInput(self._tokenizer)
        self._noising = Noising(squared_cosine(), self._device)
        if settings.linear_start:
            linear_start_(self.unet, squared_cosine())

    def networks(self) -> Mapping[str, nn.Module]:
        """The UNet alone: the text encoder is frozen."""
        return {"unet": self.unet}

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The loss of one batch of crops."""
        index = self._pictures.draw(batch, stream)
        captions = with_empty(self._pictures.captions(index, stream), stream)
        whole = as_samples(flipped(self._pictures.layers["image"][index], stream), self._device)
        nearest = torch.rand(batch, generator=stream) < self._settings.nearest_share
        condition = conditions(whole, self._settings.base, nearest.to(self._device))
        x, condition = self._cropped(whole, condition, stream)
        t, level = self._noising.timesteps(batch, stream), levels(batch, stream).to(self._device)
        eps, blur = (normal(x.shape, stream, self._device) for _ in range(2))
        with torch.no_grad():
            states = embedded(self._encoder, self._text, captions, self._device)
        noised = [self._noising.noised(x, eps, t), self._noising.noised(condition, blur, level)]
        noisy = torch.cat(noised, dim=1)
        eps_hat = self.unet(noisy, t, states, class_labels=level).sample[:, :3]
        return (self._noising.weight_beside(t, level) * errors(eps_hat, eps)).mean()

    def _cropped(self, x: Batch, condition: Batch, stream: torch.Generator) -> tuple[Tensor, Tensor]:
        """The same random square of every picture and its condition, aligned to the condition's pixels."""
        size, crop = self._settings.size, self._settings.crop
        step = size // self._settings.base
        places = (step * torch.randint((size - crop) // step + 1, (len(x), 2), generator=stream)).tolist()

        def squares(whole: Tensor) -> Tensor:
            return torch.stack(
                [w[:, a : a + crop, b : b + crop] for w, (a, b) in zip(whole, places, strict=True)]
            )

        return squares(x), squares(condition)

    def export(self, averages: nn.ModuleDict, folder: Path) -> None:
        """Write an IFSuperResolutionPipeline's folder in half precision."""
        save_upsampler(folder, averages["unet"], self._encoder, self._tokenizer)


def levels(count: int, stream: torch.Generator, of: int = 1000) -> Int[Tensor, "batch"]:
    """Levels of the noise on the condition, from 0 to `of` - 1, half of them below a quarter."""
    return (of * torch.rand(count, generator=stream).square()).long()


def conditions(x: Batch, base: int, nearest: Tensor) -> Tensor:
    """Low-resolution pictures in the size of `x`, in the two forms of the loader, as the mask says."""
    size = x.shape[-1]
    sharp, soft = (
        low_resolution((x + 1) / 2, size, LowResolutionSettings(base_size=base, form=form))
        for form in ("nearest", "centred")
    )
    return torch.where(nearest[:, None, None, None], sharp, soft)
