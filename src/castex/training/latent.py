"""Train the mini Stable Diffusion: a UNet on codes, and the text encoder that it reads.

Both learn together. Beside the weighted error of the predicted noise, linear probes tell from the state at
the end of each caption what it said, as CLIP's own training has that state tell what a picture shows; the
probes are thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from castex.schedule import scaled_linear
from castex.settings.training import TrainSdSettings
from castex.training.captions import VIEWS, Facts
from castex.training.denoiser import Noising, errors, normal, with_empty
from castex.training.latent_codes import Codes
from castex.training.latent_file import save_stable_diffusion
from castex.training.latent_networks import (
    FIRST_BETA,
    LAST_BETA,
    ClipText,
    new_latent_unet,
    new_text_encoder,
    plain_attention_,
)
from castex.training.materials import COLOURS, MATERIALS
from castex.training.words import grammar_words, tokenizer_of
from castex.weights import ModelFolder

ANSWERS = (tuple(COLOURS), MATERIALS, VIEWS)
"""What a probe may say; one more answer stands for "it was not said"."""


class LatentRecipe:
    """Codes and captions in, the error of the predicted noise and of the probes out."""

    name = "sd"

    def __init__(self, settings: TrainSdSettings, codes: Codes) -> None:
        self._settings, self._codes = settings, codes
        self._device = torch.device(settings.device)
        shape = settings.shape
        self._text = ClipText(tokenizer_of(grammar_words(codes.pictures.meshes)))
        self.unet = new_latent_unet(shape, seed=settings.seed)
        plain_attention_(self.unet)
        self.text_encoder = new_text_encoder(shape, self._text.tokenizer, seed=settings.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self._probes = nn.ModuleList(nn.Linear(shape.text_width, len(a) + 1) for a in ANSWERS)
        self._noising = Noising(scaled_linear(1000, FIRST_BETA, LAST_BETA), self._device)

    def networks(self) -> Mapping[str, nn.Module]:
        """UNet, text encoder and probes."""
        return {"unet": self.unet, "text_encoder": self.text_encoder, "probes": self._probes}

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The loss of one batch."""
        index = self._codes.pictures.draw(batch, stream)
        captions = with_empty(self._codes.pictures.captions(index, stream), stream)
        x = self._codes.sample(index, stream).to(self._device)
        t, eps = self._noising.important_timesteps(batch, stream), normal(x.shape, stream, self._device)
        states = self._text(self.text_encoder, captions)
        x_t = self._noising.noised(x, eps, t)
        # Weighted as uniform timesteps would be, so that the probes keep their share.
        error = self._noising.weight.mean() * errors(self.unet(x_t, t, states).sample, eps).mean()
        return error + self._settings.probe_weight * self._probed(states, captions, index)

    def _probed(self, states: Tensor, captions: list[str], index: Tensor) -> Tensor:
        """The mean cross entropy of the probes, at the first token that ends the sentence."""
        # It has the largest number of all tokens, and fills up the rest of the sentence.
        ends = self._text.ids(captions).argmax(1).to(states.device)
        pooled = states[torch.arange(len(ends), device=states.device), ends]
        facts = [self._codes.pictures.facts_of(int(k)) for k in index]
        wanted = answers(captions, facts).to(states.device)
        losses = [F.cross_entropy(p(pooled).float(), wanted[:, k]) for k, p in enumerate(self._probes)]
        return torch.stack(losses).mean()

    def export(self, averages: nn.ModuleDict, vae: ModelFolder, folder: Path) -> None:
        """Write a Stable Diffusion folder in half precision, with the autoencoder that made the codes."""
        save_stable_diffusion(folder, averages["unet"], averages["text_encoder"], self._text.tokenizer, vae)


def answers(captions: list[str], facts: list[Facts]) -> Int[Tensor, "captions questions"]:
    """Which colour, material and view each caption says; the number of answers where it says none."""
    rows = []
    for caption, fact in zip(captions, facts, strict=True):
        words = caption.replace(",", "").split()
        true = (fact.colour, fact.material, fact.view)
        said = (fact.colour in words, fact.material in words, fact.view in caption)
        rows.append(
            [a.index(value) if s else len(a) for a, value, s in zip(ANSWERS, true, said, strict=True)]
        )
    return torch.tensor(rows)
