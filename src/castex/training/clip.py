"""The mini CLIP: a transformer over patches and one over words that meet in one space.

It judges what the generators draw (colour, material) and yields features for distances between sets of
pictures, so it learns from a half of the corpus that no generator sees, and from pictures of its own in all
pairs and in the exhibits' lights. The loss is CLIP's, in both directions, with every true pair as a match,
plus the same softmax over the sentences "a <colour> object" and over "a <material> object", all through the
text tower. A share of the pictures is recoloured, so that no material is recognised by the colours that the
corpus happens to hold it in. During training a linear head also reads the surface behind each patch; it is
not part of the model. It sees pictures with an sRGB curve, as the real one does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from castex.errors import InputError
from castex.files import fingerprint
from castex.settings.training import TrainClipSettings
from castex.training.augment import Motion, degraded, draw_motion, recoloured, unevenly_lit
from castex.training.captions import OWN_COLOUR
from castex.training.clip_start import new_clip
from castex.training.corpus import KINDS
from castex.training.corpus_data import Pictures
from castex.training.materials import MATERIALS
from castex.training.sentences import (
    COLOUR,
    MATERIAL,
    SILENT,
    Sentences,
    lone_sentences,
    matched,
    said,
    true_of,
    without_colour,
)
from castex.training.words import grammar_words, tokenizer_of

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation of pixels, as its image processor has it."""
SURFACE = ("albedo", "surface", "depth")
"""Layers of the corpus that the second task reads: six channels."""
SURFACE_CHANNELS = 6
COVERED = 0.15
"""Mean nearness of a patch from which on the object fills most of it; what is seen is 0.2 or more."""
OWN = torch.tensor([KINDS.index(name) for name in OWN_COLOUR])
SHARPEST = 100.0


class ClipRecipe:
    """What the mini CLIP is and what it learns from, for `castex.training.trainer.Trainer`."""

    name = "clip"

    def __init__(
        self,
        settings: TrainClipSettings,
        pictures: Pictures,
        surface: Pictures,
    ) -> None:
        """`pictures` at the model's size; `surface`: the layers of SURFACE, one pixel per patch."""
        self.settings, self._pictures, self._surface = settings, pictures, surface
        self.tokenizer = tokenizer_of(grammar_words(pictures.meshes))
        # The classes of transformers are half typed.
        self.model: Any = new_clip(settings, len(self.tokenizer))
        self.head = nn.Linear(settings.width, SURFACE_CHANNELS + len(MATERIALS))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        colours, materials = lone_sentences()
        self._banks = [said(texts, pictures.meshes) for texts in (colours, materials)]
        self._mean, self._std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))

    def networks(self) -> Mapping[str, nn.Module]:
        """The model and the head of the second task."""
        return {"clip": self.model, "head": self.head}

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The contrastive losses, and the second task's, of one varied batch."""
        device = self.head.weight.device
        index = self._pictures.draw(batch, stream)
        facts = self._pictures.facts[index]
        changed = self._to_recolour(facts, stream)
        captions = self._captions(index, changed, stream)
        motion = draw_motion(batch, self.settings.augment, stream)
        picture = motion(self._pictures.layers["image"][index].float() / 255)
        picture[changed] = recoloured(picture[changed], self.settings.augment, stream)
        picture = unevenly_lit(picture, self.settings.augment, stream)
        varied = degraded(picture, self.settings.augment, stream)
        kept = self._kept(step, batch, stream)
        hidden = self._hidden(((varied - self._mean) / self._std).to(device), kept)
        images = F.normalize(self.model.visual_projection(hidden[:, 0]).float(), dim=1)
        total = self._surface_loss(hidden[:, 1:], self._targets(index, motion), index, changed, kept)
        groups = (captions, *self._banks)
        texts = self._texts([text for group in groups for text in group.texts], device)
        scale = self.model.logit_scale.float().exp().clamp(max=SHARPEST)
        for group, rows in zip(groups, torch.split(texts, [len(g.texts) for g in groups]), strict=True):
            logits = scale * images @ rows.T
            matches = true_of(facts, group.said).to(device)
            # Of a recoloured picture nobody knows which colour it has.
            fair = ~(changed[:, None] & (group.said[:, COLOUR] != SILENT)).to(device)
            if group is captions:
                both = matched(logits, matches, fair) + matched(logits.T, matches.T, fair.T)
                total = total + self.settings.caption_weight * both / 2
            else:
                told = fair.any(1)
                total = total + matched(logits[told], matches[told], fair[told])
        return total

    def _to_recolour(self, facts: Tensor, stream: torch.Generator) -> Bool[Tensor, " pictures"]:
        """Which pictures are recoloured: a share of those whose material is no matter of colour."""
        drawn = torch.rand(len(facts), generator=stream) < self.settings.augment.recolour
        return drawn & ~torch.isin(facts[:, MATERIAL], OWN)

    def _captions(self, index: Tensor, changed: Tensor, stream: torch.Generator) -> Sentences:
        texts = self._pictures.captions(index, stream)
        fitting = [without_colour(t) if c else t for t, c in zip(texts, changed.tolist(), strict=True)]
        return said(fitting, self._pictures.meshes)

    def _texts(self, texts: list[str], device: torch.device) -> Float[Tensor, "sentences numbers"]:
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt").to(device)
        read = self.model.text_model(**tokens)
        return F.normalize(self.model.text_projection(read.pooler_output).float(), dim=1)

    def _kept(self, step: int, batch: int, stream: torch.Generator) -> Int[Tensor, "pictures kept"]:
        """The patches of each picture that are seen: a random part at first, later all (Li et al. 2023)."""
        places = (self.settings.size // self.settings.patch) ** 2
        whole = step >= self.settings.masked_steps * self.settings.training.steps
        count = places if whole else max(round((1 - self.settings.masked) * places), 1)
        return torch.rand(batch, places, generator=stream).argsort(1)[:, :count].sort(1).values

    def _hidden(self, pixels: Tensor, kept: Tensor) -> Float[Tensor, "pictures tokens width"]:
        """The class token and the kept patches after all layers, normalised: the model's own forward pass."""
        vision = self.model.vision_model
        tokens = vision.embeddings(pixels)
        among = kept.to(tokens.device)[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([tokens[:, :1], tokens[:, 1:].gather(1, among)], dim=1)
        read = vision.encoder(inputs_embeds=vision.pre_layrnorm(tokens)).last_hidden_state
        normalised: Tensor = vision.post_layernorm(read)
        return normalised

    def _targets(self, index: Tensor, motion: Motion) -> Float[Tensor, "pictures places channels"]:
        layers = [self._surface.layers[name][index].float() / 255 for name in SURFACE]
        return motion(torch.cat(layers, dim=1)).flatten(2).transpose(1, 2)

    def _surface_loss(
        self, patches: Tensor, target: Tensor, index: Tensor, changed: Tensor, kept: Tensor
    ) -> Tensor:
        target = target.gather(1, kept[..., None].expand(-1, -1, SURFACE_CHANNELS)).to(patches.device)
        read = self.head(patches).float()
        error = (read[..., :SURFACE_CHANNELS] - target).square()
        error[changed.to(error.device), :, :3] = 0
        covered = target[..., -1] > COVERED
        material = self._pictures.facts[index, MATERIAL].to(covered.device)[:, None].expand_as(covered)
        wrong = F.cross_entropy(read[..., SURFACE_CHANNELS:][covered], material[covered], reduction="sum")
        named = wrong / covered.sum().clamp_min(1)
        # The first in units of the variance of such values, so that it is a loss near 1 as all others.
        loss: Tensor = self.settings.surface_weight * (10 * error.mean() + named)
        return loss

    def export(self, averages: nn.ModuleDict, folder: Path) -> None:
        """Write the averaged model (half precision), tokenizer and image processor: a whole CLIP folder."""
        from transformers import CLIPImageProcessorPil

        side = self.settings.size
        model: Any = copy.deepcopy(averages["clip"])
        model.cpu().half().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        crop = {"height": side, "width": side}
        processor = CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size=crop, image_mean=MEAN, image_std=STD
        )
        processor.save_pretrained(folder)


def joined(first: Pictures, second: Pictures) -> Pictures:
    """The pictures of two corpora of the same meshes; InputError where they differ in these."""
    if first.meshes != second.meshes:
        raise InputError("the corpus and the judge's own pictures are of other meshes; make both again")
    return Pictures(
        {name: torch.cat([layer, second.layers[name]]) for name, layer in first.layers.items()},
        torch.cat([first.facts, second.facts]),
        first.meshes,
        fingerprint([first.identity, second.identity]),
    )
