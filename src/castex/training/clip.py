"""The mini CLIP: a transformer over patches and one over words that meet in one space.

It judges what the generators draw (colour, material) and yields features for distances between sets of
pictures, so it learns from a half of the corpus that no generator sees. The loss is CLIP's, in both
directions, with every true pair as a match, plus the same softmax over the sentences "a <colour> object" and
over "a <material> object", all through the text tower. A share of the pictures is recoloured, so that no
material is recognised by the colours that the corpus happens to hold it in. During training a linear head
also reads the surface behind each patch; it is not part of the model. It sees pictures with an sRGB curve,
as the real one does.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from castex.settings.training import TrainClipSettings
from castex.training.augment import Motion, degraded, draw_motion, recoloured
from castex.training.captions import OWN_COLOUR
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
from castex.training.words import TOKENS, grammar_words, tokenizer_of

if TYPE_CHECKING:
    from transformers import CLIPModel

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation of pixels, as its image processor has it."""
SURFACE = ("albedo", "surface", "depth")
"""Layers of the corpus that the second task reads: six channels."""
SURFACE_CHANNELS = 6
COVERED = 0.15
"""Mean nearness of a patch from which on the object fills most of it; what is seen is 0.2 or more."""
OWN = torch.tensor([KINDS.index(name) for name in OWN_COLOUR])
# Scales of the first attention, the published ones.
ALIKE, CORRECT = 0.7, 0.4
SHARPEST = 100.0
# A head of 28 or 32 numbers, about the 64 of the real one in proportion.
HEAD_WIDTH = 28
# The means of the first and the second frequency of a natural picture differ so much.
FALL = 1.0
POSITION = 0.5


class ClipRecipe:
    """What the mini CLIP is and what it learns from, for `castex.training.trainer.Trainer`."""

    name = "clip"

    def __init__(self, settings: TrainClipSettings, pictures: Pictures, surface: Pictures | None) -> None:
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
        varied = degraded(picture, self.settings.augment, stream)
        seen = self.model.vision_model(pixel_values=((varied - self._mean) / self._std).to(device))
        images = F.normalize(self.model.visual_projection(seen.pooler_output).float(), dim=1)
        total = self._surface_loss(seen.last_hidden_state, index, motion, changed)
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
                total = total + both / 2
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

    def _surface_loss(self, hidden: Tensor, index: Tensor, motion: Motion, changed: Tensor) -> Tensor:
        if self._surface is None or self.settings.surface_weight == 0:
            return hidden.new_zeros(())
        layers = [self._surface.layers[name][index].float() / 255 for name in SURFACE]
        target = motion(torch.cat(layers, dim=1)).flatten(2).transpose(1, 2).to(hidden.device)
        read = self.head(self.model.vision_model.post_layernorm(hidden[:, 1:])).float()
        error = (read[..., :SURFACE_CHANNELS] - target).square()
        error[changed.to(error.device), :, :3] = 0
        covered = target[..., -1] > COVERED
        material = self._pictures.facts[index, MATERIAL].to(hidden.device)[:, None].expand_as(covered)
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


def new_clip(settings: TrainClipSettings, vocabulary: int) -> CLIPModel:
    """An untrained `CLIPModel`; the last two tokens of the vocabulary start and end a sentence."""
    from transformers import CLIPConfig, CLIPModel

    ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}
    text = _transformer(settings.text_width, settings.text_layers, settings.projection)
    text |= {"vocab_size": vocabulary, "max_position_embeddings": TOKENS, **ends}
    vision = _transformer(settings.width, settings.layers, settings.projection)
    vision |= {"image_size": settings.size, "patch_size": settings.patch}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=settings.projection)
    # Written out, attention over so few places is trained a third faster than torch's fused one.
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        model = CLIPModel(config)
        _begin_with_neighbours_(model)
    _begin_with_frequencies_(model)
    return model


def _transformer(width: int, layers: int, projection: int) -> dict[str, Any]:
    heads = max(width // HEAD_WIDTH, 1)
    return {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "projection_dim": projection,
    }  # fmt: skip


@torch.no_grad()
def _begin_with_neighbours_(model: CLIPModel) -> None:
    """Attention starts as trained ones look: to what is alike and near (Trockman and Kolter 2023).

    Per head W_q W_k^T is about the identity, of the head's rank, and W_v W_out about minus it, both with
    noise from the global generator.
    """
    for layer in model.vision_model.encoder.layers:
        attention: Any = layer.self_attn
        width, heads = attention.embed_dim, attention.num_heads
        size, one = width // heads, torch.eye(width)
        for start in range(0, width, size):
            product = ALIKE * (one + torch.empty(width, width).normal_(std=width**-0.5))
            left, values, right = torch.linalg.svd(product)
            root = values[:size].sqrt()[:, None]
            attention.q_proj.weight[start : start + size] = root * left.T[:size]
            attention.k_proj.weight[start : start + size] = root * right[:size]
        product = CORRECT * (torch.empty(width, width).normal_(std=width**-0.5) - one)
        left, values, right = torch.linalg.svd(product)
        attention.v_proj.weight.copy_(values.sqrt()[:, None] * right)
        attention.out_proj.weight.copy_(left * values.sqrt())


@torch.no_grad()
def _begin_with_frequencies_(model: CLIPModel) -> None:
    """Patches start as their lowest frequencies, places as waves: neighbours are alike from the first step.

    Of a patch's cosine transform, luminance comes first, then the two differences of colour.
    """
    embeddings = model.vision_model.embeddings
    kernel = embeddings.patch_embedding.weight
    width, _, side, _ = kernel.shape
    waves = cosine_basis(side)
    order = sorted(range(side * side), key=lambda k: (k // side + k % side, k))
    opponents = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
    opponents = opponents / opponents.norm(dim=1, keepdim=True)
    luminance = min(side * side, width - 2 * (width // 4))
    chosen = [(0, k) for k in order[:luminance]]
    chosen += [(c, k) for k in order for c in (1, 2)][: width - luminance]
    for row, (colour, wave) in enumerate(chosen):
        frequency = wave // side + wave % side
        level = (1 + FALL * frequency) / side
        kernel[row] = level * opponents[colour][:, None, None] * waves[wave]
    grid = math.isqrt(len(embeddings.position_embedding.weight) - 1)
    embeddings.position_embedding.weight[1:] = POSITION * waves_of_places(grid, width)


def cosine_basis(side: int) -> Float[Tensor, "waves side side"]:
    """The orthonormal cosine transform of a square; the wave of frequencies (a, b) is at a * side + b."""
    k = torch.arange(side, dtype=torch.float64)
    line = torch.cos(math.pi / side * (k[None] + 0.5) * k[:, None]) * math.sqrt(2 / side)
    line[0] /= math.sqrt(2)
    return torch.einsum("ax,by->abxy", line, line).reshape(side * side, side, side).float()


def waves_of_places(side: int, width: int) -> Float[Tensor, "places width"]:
    """Sines and cosines of row and column, a quarter of the width each, in geometric periods."""
    count = width // 4
    periods = 2 * torch.exp(torch.linspace(0, math.log(4 * side), count))
    angles = 2 * math.pi * torch.arange(side)[:, None] / periods
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    places = torch.cat([rows, columns], dim=2).reshape(side * side, -1)
    return F.pad(places, (0, width - places.shape[1]))
