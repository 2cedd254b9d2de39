"""Train the mini depth ControlNet: a copy of the frozen UNet's first half that also sees a depth picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from castex.errors import InputError
from castex.schedule import scaled_linear
from castex.settings.training import TrainControlnetSettings
from castex.training.corpus_data import Pictures
from castex.training.denoiser import Noising, normal, with_empty
from castex.training.latent_codes import Codes
from castex.training.latent_file import save_controlnet
from castex.training.latent_networks import (
    FIRST_BETA,
    LAST_BETA,
    ClipText,
    new_controlnet,
    plain_attention_,
)

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer


class ControlnetRecipe:
    """Codes, captions and depth pictures in, the weighted error of the predicted noise out."""

    name = "controlnet_depth"

    def __init__(
        self,
        settings: TrainControlnetSettings,
        codes: Codes,
        depths: Pictures,
        base: tuple[UNet2DConditionModel, CLIPTextModel, CLIPTokenizer],
    ) -> None:
        """`depths`: the layer `depth` of the pictures behind the codes; `base`: what stays frozen.

        InputError when codes and depths are of different pictures.
        """
        if not torch.equal(codes.pictures.facts, depths.facts):
            raise InputError("the codes were made from another corpus; run the rule `encode_corpus` again")
        self._codes, self._depths = codes, depths.layers["depth"]
        self._device = torch.device(settings.device)
        unet, encoder, tokenizer = base
        self._unet = unet.train(False).requires_grad_(False).to(self._device)
        self._encoder = encoder.train(False).requires_grad_(False).to(self._device)
        self._text = ClipText(tokenizer)
        self.controlnet = new_controlnet(unet, settings.embedding, seed=settings.seed)
        for network in (self._unet, self.controlnet):
            plain_attention_(network)
        self._noising = Noising(scaled_linear(1000, FIRST_BETA, LAST_BETA), self._device)

    def networks(self) -> Mapping[str, nn.Module]:
        """The ControlNet alone."""
        return {"controlnet": self.controlnet}

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The loss of one batch."""
        index = self._codes.pictures.draw(batch, stream)
        captions = with_empty(self._codes.pictures.captions(index, stream), stream)
        x = self._codes.sample(index, stream).to(self._device)
        t, eps = self._noising.timesteps(batch, stream), normal(x.shape, stream, self._device)
        with torch.no_grad():
            states = self._text(self._encoder, captions)
        x_t = self._noising.noised(x, eps, t)
        depth = as_condition(self._depths[index], self._device)
        down, middle = self.controlnet(x_t, t, states, controlnet_cond=depth, return_dict=False)
        predicted = self._unet(
            x_t,
            t,
            states,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        )
        return self._noising.loss(predicted.sample, eps, t)

    def export(self, averages: nn.ModuleDict, folder: Path) -> None:
        """Write a ControlNet folder in half precision."""
        save_controlnet(folder, averages["controlnet"])


def as_condition(
    depth: UInt8[Tensor, "batch 1 height width"], device: torch.device
) -> Float[Tensor, "batch 3 height width"]:
    """Depth pictures as a ControlNet is shown them: three equal channels in [0, 1]."""
    return (depth.to(device).float() / 255).expand(-1, 3, -1, -1).contiguous()
