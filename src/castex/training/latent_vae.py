"""Continue the training of an autoencoder on renders, so that latent models of renders can use it.

Stable Diffusion's own autoencoder was continued in the same way on other pictures. The loss is the one of
`training.vae`, mean squared error in [-1, 1] plus a small Kullback-Leibler term, but on samples of the
posterior: there the decoder only ever met its mean, so that nothing bound the variance. Photographs stay in
the batches, so that what was learned from them is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from torch import Tensor, nn

from castex.diffusion.network import STEM, load_part
from castex.files import fingerprint
from castex.rng import generator
from castex.settings.training import TrainSdVaeSettings
from castex.training.corpus_data import Pictures
from castex.training.latent_codes import PIECE, pieces
from castex.training.pictures import PHOTOGRAPHS, PictureSource
from castex.weights import ModelFolder, find_part

Signed = Float[Tensor, "pictures 3 height width"]
LOG_VARIANCE = -6.0
"""Where the log variance of every code begins; what the start has there was never learned."""
CODED = 512
"""Renders whose codes give the scaling factor."""


class SdVaeRecipe:
    """An autoencoder that goes on learning from whole renders and from crops of photographs."""

    name = "sd_vae"

    def __init__(self, settings: TrainSdVaeSettings, start: ModelFolder, pictures: Pictures) -> None:
        """`start` is the folder of the autoencoder that is continued; `pictures` need the layer `image`."""
        self._settings, self._pictures = settings, pictures
        subfolder = "vae" if "vae/config.json" in start.files else ""  # of a whole Stable Diffusion
        part = find_part(start, subfolder, "AutoencoderKL", STEM)
        self._network: AutoencoderKL = load_part(AutoencoderKL, part, torch.float32).requires_grad_(True)
        with torch.no_grad():
            _mean, log_variance = self._network.quant_conv.weight.chunk(2)
            log_variance.zero_()
            self._network.quant_conv.bias.chunk(2)[1].fill_(LOG_VARIANCE)
        self._source = PictureSource(
            crop=settings.crop,
            seed=settings.seed,
            procedural=settings.procedural,
            procedural_share=settings.procedural_share,
        )
        self.identity = fingerprint([start.files, pictures.identity, list(PHOTOGRAPHS)])

    def networks(self) -> Mapping[str, nn.Module]:
        """The autoencoder."""
        return {"vae": self._network}

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The loss of `settings.renders` renders and, with its weight, that of `batch` crops."""
        crops = self._source.batch(step, batch)
        of_crops = self._settings.photograph_weight * self._error(2 * crops - 1, stream)
        renders = self._renders(self._pictures.draw(self._settings.renders, stream))
        return self._error(renders, stream) + of_crops

    def _renders(self, index: Tensor) -> Signed:
        return self._pictures.layers["image"][index].float() / 127.5 - 1

    def _error(self, x: Signed, stream: torch.Generator) -> Tensor:
        x = x.to(self._network.device)
        posterior = self._network.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=stream).to(x.device)
        decoded = self._network.decode(posterior.mean + posterior.std * noise).sample
        mse: Tensor = (decoded.float() - x).square().mean()
        # The divergence is a sum over the code, as in `training.vae`.
        divergence: Tensor = posterior.kl().mean()
        return mse + self._settings.kl_weight * divergence

    @torch.no_grad()
    def export(self, network: AutoencoderKL, folder: Path) -> None:
        """Write `network` as a diffusers model in half precision, its scaling factor from the renders.

        The factor is one over the standard deviation of their codes, as Stable Diffusion's was chosen.
        """
        index = self._pictures.draw(CODED, generator(self._settings.seed, "scaling_factor", self.name))
        codes = [
            network.encode(self._renders(part).to(network.device)).latent_dist.mean.float()
            for part in pieces(index, PIECE)
        ]
        half = copy.deepcopy(network).cpu().half()
        half.register_to_config(scaling_factor=round(1 / float(torch.cat(codes).std()), 5))
        half.save_pretrained(folder)
