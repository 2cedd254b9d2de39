"""Wavefront materials, with the physically based additions that exporters agree on (Pr, Pm, norm).

Factors are linear. As Blender does, a factor gives way to its picture, because many exporters write black
beside a picture, and the specular exponent is read as roughness = 1 - sqrt(Ns / 1000).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from castex.errors import InputError
from castex.scene import Material
from castex.scene_file.nearby import Nearby, shorten
from castex.scene_file.pictures import Pictures

# Options before the file name of a map, with the most arguments they take.
OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-mm": 2,
    "-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-type": 1, "-colorspace": 1,
}  # fmt: skip
BANDS = {"r": 0, "g": 1, "b": 2}
# The same thing under the names that exporters use, the preferred one first.
ROUGHNESS_MAPS, METALLIC_MAPS = ("map_pr", "map_ns"), ("map_pm", "map_refl")
NORMAL_MAPS = ("norm", "map_kn", "map_bump", "bump")
LARGEST_EXPONENT = 1000.0
MOST_MATERIALS = 100_000
MOST_LIBRARIES = 1000
LONGEST_NAME = 255


@dataclass(frozen=True)
class _Map:
    picture: str
    band: int = 0
    strength: float = 1.0


@dataclass
class _Stated:
    """What a `newmtl` block says."""

    numbers: dict[str, tuple[float, ...]] = field(default_factory=dict)
    maps: dict[str, _Map] = field(default_factory=dict)


class Library:
    """All materials of the .mtl files of one OBJ, by name; a missing file or picture becomes a note."""

    def __init__(self, nearby: Nearby, pictures: Pictures) -> None:
        self._nearby = nearby
        self._pictures = pictures
        self._stated: dict[str, _Stated] = {}
        self._there: dict[str, bool] = {}
        self._parsed: dict[int, bytes] = {}
        self.notes: dict[str, None] = {}

    def read(self, stated: str) -> None:
        """Read what a `mtllib` line names, beside the OBJ: one file, spaces in its name or not, or several.

        A file is read once, however often and under however many spellings it is named.
        """
        words = stated.split()
        # No file has a longer name, so a longer line is a list.
        is_list = len(words) > 1 and len(stated.encode()) > LONGEST_NAME
        if not is_list and self._take(stated):
            return
        missing = [word for word in words if not self._take(word)] if len(words) > 1 else [stated]
        for name in [stated] if missing == words else missing:
            self.notes[f"the material file {shorten(name)!r} is missing, so materials are plain"] = None

    def _take(self, name: str) -> bool:
        """Whether there is such a file; it is parsed if it was not yet."""
        if name not in self._there:
            if len(self._there) == MOST_LIBRARIES:
                raise InputError(f"it names more than {MOST_LIBRARIES} material files; put them into one")
            content = self._nearby.file(name)
            self._there[name] = content is not None
            # `Nearby` gives the same object for the same file, which stays itself while it is kept here.
            if content is not None and id(content) not in self._parsed:
                self._parsed[id(content)] = content
                self._parse(name, content)
        return self._there[name]

    def _parse(self, name: str, content: bytes) -> None:
        stated = _Stated()
        for line in content.decode("utf-8", errors="replace").splitlines():
            key, _, rest = line.strip().partition(" ")
            key, rest = key.lower(), rest.strip()
            if key == "newmtl":
                stated = self._stated[rest] = _Stated()
                if len(self._stated) > MOST_MATERIALS:
                    raise InputError(f"{shorten(name)!r} has more than {MOST_MATERIALS} materials; reduce it")
            elif key.startswith("map_") or key in NORMAL_MAPS:
                self._map(stated, key, rest)
            elif key and not key.startswith("#"):
                _numbers(stated, key, rest)

    def material(self, name: str) -> Material:
        """The material of that name; a plain one, with a note, where no library defines it."""
        stated = self._stated.get(name)
        if stated is None:
            if name:
                self.notes[f"the material {shorten(name)!r} is not defined, so it is plain"] = None
            return Material(name=shorten(name) or "material")
        self._mention_losses(name, stated)
        albedo = self._picture(stated, ("map_kd",))
        red, green, blue = (1.0, 1.0, 1.0) if albedo is not None else _factor(stated, "kd", (1.0, 1.0, 1.0))
        rough, metal = self._band(stated, ROUGHNESS_MAPS), self._band(stated, METALLIC_MAPS)
        made = Material(
            name=shorten(name),
            albedo=(red, green, blue),
            roughness=1.0 if rough is not None else _roughness(stated),
            metallic=1.0 if metal is not None else _factor(stated, "pm", (0.0,))[0],
            albedo_picture=albedo,
            roughness_picture=rough,
            metallic_picture=metal,
        )
        return self._with_normals(name, stated, made)

    def _map(self, stated: _Stated, key: str, rest: str) -> None:
        words = rest.split()
        found = _Map("")
        while words and words[0].lower() in OPTIONS:
            option = words.pop(0).lower()
            values: list[str] = []
            while words and len(values) < OPTIONS[option] and (not values or _is_number(words[0])):
                values.append(words.pop(0))
            if option == "-imfchan" and values:
                found = replace(found, band=BANDS.get(values[0], 0))
            elif option == "-bm" and values and _is_number(values[0]):
                found = replace(found, strength=float(values[0]))
        if words:
            name = " ".join(words).replace("\\", "/")
            self._pictures.add(name, self._nearby.file(name))
            stated.maps[key] = replace(found, picture=name)

    def _picture(self, stated: _Stated, keys: tuple[str, ...]) -> np.ndarray | None:
        found = next((stated.maps[key] for key in keys if key in stated.maps), None)
        return None if found is None else self._pictures.rgb(found.picture)

    def _band(self, stated: _Stated, keys: tuple[str, ...]) -> np.ndarray | None:
        found = next((stated.maps[key] for key in keys if key in stated.maps), None)
        picture = self._picture(stated, keys)
        return None if found is None or picture is None else picture[..., found.band].copy()

    def _with_normals(self, name: str, stated: _Stated, made: Material) -> Material:
        picture = self._picture(stated, NORMAL_MAPS)
        if picture is None:
            return made
        if np.array_equal(picture[..., 0], picture[..., 2]):
            self.notes[f"the material {shorten(name)!r} has a height map, which is left out"] = None
            return made
        strength = next(stated.maps[key].strength for key in NORMAL_MAPS if key in stated.maps)
        return replace(made, normal_picture=picture, normal_scale=strength)

    def _mention_losses(self, name: str, stated: _Stated) -> None:
        if any(stated.numbers.get("ke", ())) or "map_ke" in stated.maps:
            self.notes[f"the material {shorten(name)!r} emits light, which is left out"] = None
        solid = stated.numbers.get("d", (1.0,))[0] >= 1 and stated.numbers.get("tr", (0.0,))[0] <= 0
        if not solid or "map_d" in stated.maps:
            self.notes[f"the material {shorten(name)!r} is transparent, which is left out"] = None


def _numbers(stated: _Stated, key: str, rest: str) -> None:
    words = rest.split()
    if words and all(map(_is_number, words)):
        stated.numbers[key] = tuple(float(word) for word in words)


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def _factor(stated: _Stated, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    found = stated.numbers.get(key, default)
    if len(found) == 1:
        found = found * len(default)
    return tuple(min(max(value, 0.0), 1.0) for value in (found if len(found) == len(default) else default))


def _roughness(stated: _Stated) -> float:
    if "pr" in stated.numbers:
        return _factor(stated, "pr", (1.0,))[0]
    if "ns" not in stated.numbers or not any(stated.numbers.get("ks", (1.0,))):
        return 1.0
    exponent = min(max(stated.numbers["ns"][0], 0.0), LARGEST_EXPONENT)
    return 1.0 - float(np.sqrt(exponent / LARGEST_EXPONENT))
