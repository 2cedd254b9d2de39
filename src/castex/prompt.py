"""Prompts, view words, and the numbers that a denoising network reads in their place.

The text encoder is larger than the networks that it serves (T5-XXL: 4.8 billion weights), so it runs once, in
a process of its own, and what it gave is a file. The text goes in as diffusers' pipelines put it in:
DeepFloyd's T5 gets it in lower case and stripped, 77 tokens, with a mask over the padding, as in
`IFPipeline.encode_prompt` with its default `clean_caption=False` (the thorough cleaning of captions from the
web needs two more packages); CLIP gets it as it is, without a mask. The empty text stands for no prompt.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from castex.diffusion.network import cannot_load, from_files, reason_of, resolved_precision
from castex.errors import InputError, WeightsError
from castex.files import atomic_path
from castex.progress import Progress
from castex.protocols import Text
from castex.settings.models import EmbedSettings, PromptSettings
from castex.weights import ModelFolder, Part, check_alone, find_part, read_lock

ENCODER, TOKENIZER, PIECES = "text_encoder", "tokenizer", "spiece.model"
UNCONDITIONAL = ""
VIEW_WORDS = ("front view", "side view", "backside view", "top view", "bottom view")
T5_TOKENS = 77


def with_view(prompt: str, word: str) -> str:
    """A prompt for one side of the object; `word` is what `castex.shot.view_words` gives."""
    return f"{prompt}, {word}"


def texts_of(settings: PromptSettings) -> list[str]:
    """All texts to embed, each once: the empty one, the prompts, and the prompts with their view words."""
    words = VIEW_WORDS if settings.views else ()
    sided = [with_view(prompt, word) for prompt in settings.texts for word in words]
    return list(dict.fromkeys([UNCONDITIONAL, *settings.texts, *sided]))


def text_identity(folder: ModelFolder) -> str:
    """What distinguishes a text encoder with its tokenizer from another: its files' hashes."""
    return folder.identity(ENCODER, TOKENIZER)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embedded texts of one text encoder."""

    texts: tuple[str, ...]
    values: Float[Tensor, "texts tokens features"]
    masks: Bool[Tensor, "texts tokens"]
    """True where a token is no padding. The T5 encoder used it; the UNets of DeepFloyd do not."""
    model: str
    """Identity of the text encoder."""

    def of(self, texts: Iterable[str]) -> Text:
        """One row per text; InputError for a text that was not embedded."""
        rows = {text: row for row, text in enumerate(self.texts)}
        wanted = list(texts)
        for text in wanted:
            if text not in rows:
                raise InputError(f"the text {text[:80]!r} was not embedded; add it and run `embed` again")
        return self.values[[rows[text] for text in wanted]]

    def of_views(self, prompt: str, words: Iterable[str]) -> Text:
        """One row per view: the prompt with that view's words."""
        return self.of([with_view(prompt, word) for word in words])

    @property
    def negative(self) -> Text:
        """The empty text, one row: the unconditional half of classifier-free guidance."""
        return self.of([UNCONDITIONAL])

    def to(self, device: str) -> Embeddings:
        """The same on another device."""
        return Embeddings(self.texts, self.values.to(device), self.masks.to(device), self.model)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Text to the numbers of its pieces."""

    ids: Callable[[str], list[int]]
    """All pieces of a text, with the marks that the encoder expects at its ends."""
    end: int
    pad: int

    def padded(self, text: str, tokens: int) -> list[int]:
        """Exactly so many pieces: what is beyond is cut off before the mark of the end."""
        found = self.ids(text)
        if len(found) > tokens:
            return [*found[: tokens - 1], self.end]
        return found + [self.pad] * (tokens - len(found))


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """A T5 or CLIP text encoder with its tokenizer."""

    network: Any
    tokenizer: Tokenizer
    tokens: int
    lower_case: bool
    masked: bool
    identity: str

    def embed(self, texts: Sequence[str], *, dtype: torch.dtype = torch.float32) -> Embeddings:
        """Each text by itself, so that no embedding depends on what else is in the list."""
        progress = Progress("embed", len(texts))
        rows = []
        for done, text in enumerate(texts, start=1):
            rows.append(self._one(text))
            progress.update(done)
        values, masks = zip(*rows, strict=True)
        return Embeddings(
            tuple(texts), torch.cat(values).to("cpu", dtype), torch.cat(masks).cpu(), self.identity
        )

    def lost(self, text: str) -> int:
        """How many tokens of a text are beyond the length that the encoder takes."""
        return max(0, len(self.tokenizer.ids(self._prepared(text))) - self.tokens)

    def _prepared(self, text: str) -> str:
        return text.lower().strip() if self.lower_case else text

    @torch.no_grad()
    def _one(self, text: str) -> tuple[Tensor, Tensor]:
        device = self.network.device
        prepared = self._prepared(text)
        ids = torch.tensor([self.tokenizer.padded(prepared, self.tokens)], device=device)
        count = min(len(self.tokenizer.ids(prepared)), self.tokens)
        mask = torch.arange(self.tokens, device=device)[None] < count
        outputs = self.network(ids, attention_mask=mask.long() if self.masked else None)
        return outputs[0], mask


def load_text_encoder(folder: ModelFolder, settings: EmbedSettings) -> TextEncoder:
    """The text encoder of a checked model folder: `text_encoder/` and `tokenizer/`.

    WeightsError, in one sentence, when they are absent or something else; InputError for 8-bit weights where
    that cannot be.
    """
    from transformers import CLIPTextModel, T5EncoderModel

    kind = _kind(folder)
    part = find_part(folder, ENCODER, kind, "model")
    network = _load({"T5EncoderModel": T5EncoderModel, "CLIPTextModel": CLIPTextModel}[kind], part, settings)
    tokenizer = _tokenizer(folder, "T5Tokenizer" if kind == "T5EncoderModel" else "CLIPTokenizer")
    if kind == "T5EncoderModel":
        return TextEncoder(network, tokenizer, T5_TOKENS, True, True, text_identity(folder))
    tokens = int(network.config.max_position_embeddings)
    masked = bool(getattr(network.config, "use_attention_mask", False))
    return TextEncoder(network, tokenizer, tokens, False, masked, text_identity(folder))


def _kind(folder: ModelFolder) -> str:
    """The class of the text encoder that a folder holds; WeightsError when it is none that is known here."""
    path = folder.path / ENCODER / "config.json"
    try:
        kinds = json.loads(path.read_text(encoding="utf-8"))["architectures"]
    except (OSError, ValueError, KeyError, TypeError):
        kinds = [None]
    if kinds[0] not in ("T5EncoderModel", "CLIPTextModel"):
        raise WeightsError(
            f"{path} describes a {kinds[0]}; a T5EncoderModel or a CLIPTextModel is needed: give the model "
            "that `text` names in the configuration"
        )
    return str(kinds[0])


def _load(kind: Any, part: Part, settings: EmbedSettings) -> Any:
    more: dict[str, Any] = {"dtype": resolved_precision(settings)}
    if settings.eight_bit:
        more = {"quantization_config": _eight_bit(settings), "device_map": {"": settings.device}}
    network = from_files(kind, part, surplus=True, **more)
    return network if settings.eight_bit else network.to(settings.device)


def _eight_bit(settings: EmbedSettings) -> Any:
    if settings.device != "cuda":
        raise InputError("embed.eight_bit needs a CUDA device; set embed.device: cuda, or eight_bit: false")
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"embed.eight_bit needs the package {package}; `pip install {package}`, or set it to false"
            )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]


def _tokenizer(folder: ModelFolder, kind: str) -> Tokenizer:
    """From SentencePiece's own file, as the published DeepFloyd has it, or from what transformers saves."""
    if f"{TOKENIZER}/{PIECES}" in folder.files:
        check_alone(folder, TOKENIZER)
        try:
            return _sentence_pieces(folder.path / TOKENIZER / PIECES)
        except Exception as error:  # the library raises what its parser raises
            raise cannot_load(folder.path / TOKENIZER, kind, reason_of(error)) from error
    saved = load_tokenizer(folder, TOKENIZER, kind)
    return Tokenizer(lambda text: list(saved(text).input_ids), saved.eos_token_id, saved.pad_token_id)


def load_tokenizer(folder: ModelFolder, subfolder: str, kind: str) -> Any:
    """A tokenizer of transformers, every file of which was checked; WeightsError when there is none.

    It lies in a subfolder, or beside a network in the folder itself, for an empty name.
    """
    import transformers

    path, inside = folder.path / subfolder, f"{subfolder}/" if subfolder else ""
    check_alone(folder, subfolder)
    # Without either file the library makes up an empty vocabulary.
    if not {f"{inside}tokenizer.json", f"{inside}vocab.json"} & folder.files.keys():
        raise WeightsError(f"{path} must hold and list a tokenizer (tokenizer.json); fetch the model again")
    try:
        return getattr(transformers, kind).from_pretrained(path, local_files_only=True)
    except Exception as error:  # the library raises what its parsers raise
        raise cannot_load(path, kind, reason_of(error)) from error


def _sentence_pieces(path: Path) -> Tokenizer:
    """Read by the library that made it; transformers needs yet another package to convert it."""
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(path))
    end = int(pieces.eos_id())
    return Tokenizer(lambda text: [*pieces.encode(text), end], end, int(pieces.pad_id()))


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """One safetensors file: the tensors `embeddings` and `masks`, the texts and the encoder in its header."""
    from safetensors.torch import save

    about = json.dumps({"texts": embeddings.texts, "model": embeddings.model})
    tensors = {"embeddings": embeddings.values.contiguous(), "masks": embeddings.masks.contiguous()}
    with atomic_path(path) as partial:
        # One key: the order of several is not the same in every run.
        partial.write_bytes(save(tensors, metadata={"castex": about}))


def read_embeddings(path: Path, model: Path | None = None) -> Embeddings:
    """Undo `write_embeddings`, on the CPU in float32.

    `model` is the lock file of the model whose text encoder should have made them: WeightsError when it was
    another one, InputError when the file holds no embeddings.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["castex"])
            values, masks = file.get_tensor("embeddings"), file.get_tensor("masks")
        texts, made_by = tuple(about["texts"]), str(about["model"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no embedded texts; make it again with `embed`") from error
    if model is not None and made_by != text_identity(read_lock(model)):
        raise WeightsError(f"{path} was made by another text encoder than that of {model}; run `embed` again")
    return Embeddings(texts, values.float(), masks, made_by)
