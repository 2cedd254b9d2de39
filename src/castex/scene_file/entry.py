"""JSON whose every field is checked when it is read: no value of a glTF file is trusted."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from castex.errors import InputError
from castex.scene_file.limits import Limits
from castex.scene_file.nearby import shorten

# Whole numbers of a glTF file are indices, counts and byte offsets.
LARGEST_INTEGER = 2**40
LARGEST_NUMBER = 1e30


@dataclass(frozen=True)
class Entry:
    """One JSON object, with the words that say where in the file it stands."""

    value: dict[str, Any]
    where: str

    def has(self, key: str) -> bool:
        """Whether the object holds `key`."""
        return key in self.value

    def integer(self, key: str, default: int | None = None, *, low: int = 0) -> int:
        """A whole number of at least `low`; without a default the key must be there."""
        found = self.value.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= LARGEST_INTEGER:
            self._wrong(key, f"a whole number of at least {low}")
        return found

    def index(self, key: str) -> int | None:
        """A whole number of at least 0, or None where the key is missing."""
        return self.integer(key) if self.has(key) else None

    def number(
        self, key: str, default: float, low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER
    ) -> float:
        """A finite number, clamped to `[low, high]`."""
        found = self.value.get(key, default)
        if not _is_number(found):
            self._wrong(key, "a finite number")
        return min(max(float(found), low), high)

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """As many finite numbers as the default has."""
        found = self.value.get(key, list(default))
        if not isinstance(found, list) or len(found) != len(default) or not all(map(_is_number, found)):
            self._wrong(key, f"a list of {len(default)} finite numbers")
        return tuple(float(number) for number in found)

    def integers(self, key: str) -> list[int]:
        """A list of whole numbers of at least 0; empty where the key is missing."""
        found = self.value.get(key, [])
        if not isinstance(found, list) or not all(type(item) is int and item >= 0 for item in found):
            self._wrong(key, "a list of indices")
        return found

    def text(self, key: str, default: str = "") -> str:
        """A string."""
        found = self.value.get(key, default)
        if not isinstance(found, str):
            self._wrong(key, "a text")
        return found

    def flag(self, key: str) -> bool:
        """A boolean, false where the key is missing."""
        found = self.value.get(key, False)
        if not isinstance(found, bool):
            self._wrong(key, "true or false")
        return found

    def child(self, key: str) -> Entry | None:
        """A nested object, or None where the key is missing."""
        found = self.value.get(key)
        if found is None:
            return None
        if not isinstance(found, dict):
            self._wrong(key, "an object")
        return Entry(found, f"{self.where}.{key}")

    def within(self, key: str) -> Entry:
        """A nested object that counts as empty where the key is missing."""
        return self.child(key) or Entry({}, f"{self.where}.{key}")

    def extension(self, name: str) -> Entry | None:
        """The object of an extension by its name, or None."""
        return self.within("extensions").child(name)

    def children(self, key: str) -> list[Entry]:
        """A list of nested objects; empty where the key is missing."""
        found = self.value.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self._wrong(key, "a list of objects")
        prefix = key if self.where == "" else f"{self.where}.{key}"
        return [Entry(item, f"{prefix}[{index}]") for index, item in enumerate(found)]

    def strings(self, key: str) -> list[str]:
        """A list of strings; empty where the key is missing."""
        found = self.value.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            self._wrong(key, "a list of texts")
        return found

    def _wrong(self, key: str, expected: str) -> NoReturn:
        place = f"{self.where}.{key}".removeprefix(".")
        found = shorten(repr(self.value[key])) if key in self.value else "missing"
        raise InputError(f"its {place} is {found} and must be {expected}; export the file again")


def picked(entries: list[Entry], index: int, kind: str) -> Entry:
    """`entries[index]`, or one sentence about the dangling reference."""
    if index >= len(entries):
        raise InputError(f"it refers to {kind}[{index}] but has {len(entries)} of them; export it again")
    return entries[index]


def parsed(text: bytes, limits: Limits) -> Entry:
    """The top-level object of a glTF's JSON; InputError for anything that is not finite JSON."""
    items = sum(text.count(mark) for mark in (b"{", b"[", b","))
    if items > limits.json_items:
        raise InputError(f"its JSON has about {items} items; give a file with at most {limits.json_items}")
    try:
        value = json.loads(text.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite)
    except InputError:
        raise
    except RecursionError as error:
        raise InputError("its JSON is nested too deeply; export it again") from error
    except ValueError as error:  # no UTF-8, no JSON, or an integer with thousands of digits
        raise InputError(f"its JSON cannot be read ({shorten(str(error))}); export it again") from error
    if not isinstance(value, dict):
        raise InputError(f"its JSON is a {type(value).__name__}, no object; export it again")
    return Entry(value, "")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -LARGEST_NUMBER <= value <= LARGEST_NUMBER


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"its JSON holds {name}, which is no number; export it again")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InputError(f"its JSON holds the number {shorten(digits)}, which is too large; export it again")
    return value
