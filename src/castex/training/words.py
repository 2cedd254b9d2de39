"""The byte-pair tokenizer of the mini CLIP models: every word of the grammar is one token.

It is made by a rule, not trained: the same words give the same file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from castex.training.captions import SYLLABLES, VIEWS
from castex.training.materials import COLOURS, MATERIALS

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END, LAST = "<|startoftext|>", "<|endoftext|>", "</w>"
TOKENS = 77
"""Longest sentence in tokens, its start and its end included, as in CLIP."""


def grammar_words(names: Iterable[str]) -> list[str]:
    """Every word of the captions, those of the named meshes and the syllables of invented words included."""
    views = [word for view in VIEWS for word in view.split()]
    words = ["a", "an", "object", ",", *COLOURS, *MATERIALS, *views, *names, *SYLLABLES]
    return list(dict.fromkeys(words))


def tokenizer_of(words: Sequence[str]) -> CLIPTokenizer:
    """A tokenizer that makes one token of each of these words, and spells all others in parts or bytes."""
    from transformers import CLIPTokenizer

    merges: Any = merges_for(words)
    letters = byte_letters()
    tokens = [*letters, *(letter + LAST for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate([*dict.fromkeys(tokens), START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)


def merges_for(words: Sequence[str]) -> list[tuple[str, str]]:
    """Merges that join each word into one token, whatever the words have in common.

    A new merge comes after all older ones, so it cannot break a word that those have joined.
    """
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        parts = merged([*word[:-1], word[-1] + LAST], ranks)
        while len(parts) > 1:
            ranks[parts[0], parts[1]] = len(ranks)
            parts = merged(parts, ranks)
    return list(ranks)


def merged(parts: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding: the pair of the lowest rank is joined, everywhere, until no known pair is left."""
    while True:
        pairs = [pair for pair in itertools.pairwise(parts) if pair in ranks]
        if not pairs:
            return parts
        best, joined, rest = min(pairs, key=ranks.__getitem__), list[str](), list(parts)
        while rest:
            if tuple(rest[:2]) == best:
                joined.append("".join(best))
                del rest[:2]
            else:
                joined.append(rest.pop(0))
        parts = joined


def byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in a byte-level vocabulary, in the order of the bytes.

    Printable bytes stand for themselves, and the others for letters from U+0100 on.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]
