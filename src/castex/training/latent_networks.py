"""Shapes of the mini latent models: the classes and options of Stable Diffusion, a few channels wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from castex.settings.training import LatentShape
from castex.training.words import TOKENS

if TYPE_CHECKING:
    from diffusers import ControlNetModel, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

LATENT_CHANNELS = 4
FIRST_BETA, LAST_BETA = 0.00085, 0.012
"""Stable Diffusion's scaled-linear schedule."""


def new_latent_unet(shape: LatentShape, *, seed: int) -> UNet2DConditionModel:
    """An untrained UNet of Stable Diffusion's kind on codes of `shape.size` a side."""
    from diffusers import UNet2DConditionModel

    kinds = ["CrossAttn" * attention for attention in shape.attention]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: UNet2DConditionModel = UNet2DConditionModel(
            sample_size=shape.size,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            block_out_channels=shape.channels,
            layers_per_block=shape.layers,
            down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
            up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
            cross_attention_dim=shape.text_width,
            # In this class the option bears the number of heads, as in Stable Diffusion 1.5.
            attention_head_dim=shape.heads,
            norm_num_groups=shape.groups,
            use_linear_projection=True,
        )
    return network


def new_text_encoder(shape: LatentShape, tokenizer: CLIPTokenizer, *, seed: int) -> CLIPTextModel:
    """An untrained `CLIPTextModel` for a tokenizer whose last two tokens start and end a sentence."""
    from transformers import CLIPTextConfig, CLIPTextModel

    words = len(tokenizer)
    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=shape.text_width,
        intermediate_size=4 * shape.text_width,
        projection_dim=shape.text_width,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=shape.text_heads,
        max_position_embeddings=TOKENS,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder: CLIPTextModel = CLIPTextModel(config)
    return encoder


def new_controlnet(unet: UNet2DConditionModel, embedding: tuple[int, ...], *, seed: int) -> ControlNetModel:
    """A ControlNet that starts as a copy of the UNet's first half and adds nothing yet.

    `embedding`: channels at full size and after each halving on the way from the picture to the code.
    """
    from diffusers import ControlNetModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: ControlNetModel = ControlNetModel.from_unet(
            unet, conditioning_embedding_out_channels=embedding, conditioning_channels=3
        )
    return network


def new_latent_scheduler() -> PNDMScheduler:
    """The scheduler that Stable Diffusion 1.5 comes with."""
    from diffusers import PNDMScheduler

    scheduler: PNDMScheduler = PNDMScheduler(
        beta_schedule="scaled_linear",
        beta_start=FIRST_BETA,
        beta_end=LAST_BETA,
        num_train_timesteps=1000,
        prediction_type="epsilon",
        set_alpha_to_one=False,
        skip_prk_steps=True,
        steps_offset=1,
    )
    return scheduler


def plain_attention_(network: Any) -> None:
    """Write attention out as products: on a CPU its fused form is slow backwards in bfloat16."""
    from diffusers.models.attention_processor import AttnProcessor

    network.set_attn_processor(AttnProcessor())


class ClipText:
    """Sentences to what cross-attention reads: all 77 states, padding included, as in Stable Diffusion."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.tokenizer = tokenizer
        # Captions repeat, and tokenizing a batch takes as long as a layer of the network.
        self._known: dict[str, Tensor] = {}

    def ids(self, sentences: list[str]) -> Tensor:
        """Token numbers, `sentences 77`."""
        new = [text for text in dict.fromkeys(sentences) if text not in self._known]
        if new:
            found = self.tokenizer(
                new, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
            )
            self._known |= dict(zip(new, found.input_ids, strict=True))
        return torch.stack([self._known[text] for text in sentences])

    def __call__(
        self, encoder: CLIPTextModel, sentences: list[str]
    ) -> Float[Tensor, "sentences tokens width"]:
        """Last hidden states; equal sentences are encoded once."""
        distinct = list(dict.fromkeys(sentences))
        states: Tensor = encoder(self.ids(distinct).to(encoder.device)).last_hidden_state
        place = {text: k for k, text in enumerate(distinct)}
        return states[torch.tensor([place[text] for text in sentences], device=states.device)]
