"""Train the tiny T5 encoder: on sentences alone, before any picture, as the real one was.

From its states of a caption, four linear probes must tell colour, material, view and name, and whether each
was said at all. The probes are thrown away; the encoder is frozen in every diffusion model that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from castex.settings.training import TrainingSettings
from castex.training.captions import VIEWS, Facts, caption
from castex.training.cascade_file import half
from castex.training.materials import COLOURS, MATERIALS
from castex.training.t5 import CORPUS_MESHES, WIDTH, TextInput, new_encoder, new_tokenizer

if TYPE_CHECKING:
    from transformers import T5EncoderModel

ANSWERS = (tuple(COLOURS), MATERIALS, VIEWS, CORPUS_MESHES)
"""What each probe may say; one more answer stands for "it was not said", or for an unknown name."""


class TextRecipe:
    """Captions in, the probes' cross entropy out."""

    name = "t5"

    def __init__(self, settings: TrainingSettings) -> None:
        self._device = torch.device(settings.device)
        self.tokenizer = new_tokenizer()
        self.encoder = new_encoder(len(self.tokenizer), seed=settings.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed + 1)
            self._probes = nn.ModuleList(nn.Linear(WIDTH, len(answers) + 1) for answers in ANSWERS)
        self._text = TextInput(self.tokenizer)

    def networks(self) -> Mapping[str, nn.Module]:
        """The encoder and its probes."""
        return {"text_encoder": self.encoder, "probes": self._probes}

    def loss(self, step: int, batch: int, stream: torch.Generator) -> Tensor:
        """The mean cross entropy of all probes over captions of made-up pictures."""
        sentences, targets = zip(*(drawn_caption(stream) for _ in range(batch)), strict=True)
        logits = probed(self.encoder, self._probes, self._text, list(sentences), self._device)
        wanted = torch.tensor(targets, device=self._device)
        losses = [F.cross_entropy(found.float(), wanted[:, k]) for k, found in enumerate(logits)]
        return torch.stack(losses).mean()

    def export(self, averages: nn.ModuleDict, folder: Path) -> None:
        """Write encoder and tokenizer, weights in half precision, as a T5 repository has them."""
        half(averages["text_encoder"]).save_pretrained(folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")


def probed(
    encoder: T5EncoderModel,
    probes: nn.ModuleList,
    text: TextInput,
    sentences: list[str],
    device: torch.device,
) -> list[Tensor]:
    """The probes' logits for every sentence, from the mean of its words' states."""
    ids, masks = text(sentences, device)
    states: Tensor = encoder(input_ids=ids, attention_mask=masks).last_hidden_state
    pooled = (states * masks[..., None]).sum(1) / masks.sum(1, keepdim=True)
    return [probe(pooled) for probe in probes]


def drawn_caption(stream: torch.Generator) -> tuple[str, list[int]]:
    """A caption of the grammar for facts drawn at random, and the right answer of each probe."""
    draws = [int(torch.randint(len(answers), (), generator=stream)) for answers in ANSWERS]
    colour, material, view, mesh = (answers[k] for answers, k in zip(ANSWERS, draws, strict=True))
    sentence = caption(Facts(mesh, material, colour, view), stream)
    words = set(sentence.replace(",", "").split())
    said = [colour in words, material in words, view in sentence, mesh in words]
    return sentence, [k if s else len(a) for k, s, a in zip(draws, said, ANSWERS, strict=True)]
