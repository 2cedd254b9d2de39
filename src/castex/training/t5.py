"""The tiny T5 of the mini cascade: a word tokenizer made from the grammar, and an encoder.

Words of the grammar are tokens; anything else is spelled in letters, so no prompt is refused.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from castex.training.captions import OWN_COLOUR, VIEWS
from castex.training.materials import COLOURS, MATERIALS

if TYPE_CHECKING:
    from transformers import T5EncoderModel, T5Tokenizer

MAX_TOKENS = 77
"""Length of every embedded prompt, as in `IFPipeline.encode_prompt`."""
WIDTH = 64
MOST_SENTENCES = 20_000
"""Captions whose tokens are remembered."""
CORPUS_MESHES = (
    "vase", "bowl", "bottle", "teapot", "barrel", "chair", "table", "lamp",
    "mushroom", "robot", "duck", "boat", "car",
)  # fmt: skip
"""Words for objects of the corpus; other names are spelled, as the made-up ones of captions are."""
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What stands for the start of a word in SentencePiece vocabularies."""


def grammar_words() -> list[str]:
    """Every word of the captions, sorted, without punctuation."""
    views = {word for view in VIEWS for word in view.split()}
    return sorted({"a", "an", "object", *COLOURS, *MATERIALS, *OWN_COLOUR, *CORPUS_MESHES, *views})


def new_tokenizer() -> T5Tokenizer:
    """A `T5Tokenizer` over the grammar's words, letters, digits and punctuation; nothing is learned."""
    from transformers import T5Tokenizer

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words = [(SPACE + word, -1.0) for word in grammar_words()]
    pieces = [(SPACE, -4.0)] + [(c, -4.0) for c in string.ascii_lowercase + string.digits + ",.-'"]
    tokenizer: T5Tokenizer = T5Tokenizer(vocab=special + words + pieces, extra_ids=0)
    tokenizer.model_max_length = MAX_TOKENS
    return tokenizer


def new_encoder(vocabulary: int, *, seed: int) -> T5EncoderModel:
    """An untrained `T5EncoderModel`: two layers of width 64."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=vocabulary, d_model=WIDTH, d_ff=2 * WIDTH, d_kv=16, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", dropout_rate=0.0, is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder: T5EncoderModel = T5EncoderModel(config)
    return encoder


class TextInput:
    """Sentences to token ids and masks, remembering what was seen: captions repeat."""

    def __init__(self, tokenizer: T5Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, sentences: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask, `sentences 77` each."""
        # Made-up names never come again; the grammar's own sentences fit many times over.
        if len(self._known) >= MOST_SENTENCES:
            self._known.clear()
        for sentence in sentences:
            if sentence not in self._known:
                found = self._tokenizer(
                    sentence,
                    padding="max_length",
                    max_length=MAX_TOKENS,
                    truncation=True,
                    return_tensors="pt",
                )
                self._known[sentence] = (found.input_ids[0], found.attention_mask[0])
        rows = [self._known[sentence] for sentence in sentences]
        ids, masks = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])
        return ids.to(device), masks.to(device)


def embedded(
    encoder: T5EncoderModel, text: TextInput, sentences: list[str], device: torch.device
) -> Float[Tensor, "sentences tokens width"]:
    """The encoder's last hidden state for each sentence; equal sentences are encoded once."""
    distinct = list(dict.fromkeys(sentences))
    ids, masks = text(distinct, device)
    states: Tensor = encoder(input_ids=ids, attention_mask=masks).last_hidden_state
    place = {sentence: k for k, sentence in enumerate(distinct)}
    return states[torch.tensor([place[sentence] for sentence in sentences], device=device)]
