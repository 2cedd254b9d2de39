"""The untrained mini CLIP: its shape, and a start from which little training is needed.

A transformer knows nothing of neighbours or of frequencies, and learns both slowly from few pictures. So
patches start as their cosine transform, places as waves, and attention as attention to what is near.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.settings.training import TrainClipSettings
from castex.training.words import TOKENS

if TYPE_CHECKING:
    from transformers import CLIPModel

HEAD_WIDTH = 28
"""Numbers per attention head: an eighth to a quarter of the width, as in the real one."""
# What a wave gains per unit of its frequency, about what pictures lose.
FALL = 1.0
# Scale of the places beside that of the patches.
POSITION = 0.5
# Scales of the first attention, the published ones.
ALIKE, CORRECT = 0.7, 0.4


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
