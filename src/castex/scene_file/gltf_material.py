"""Materials of glTF files: factors, pictures, and the one layout of texture coordinates they share here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from castex.scene import Material
from castex.scene_file.accessors import Accessors
from castex.scene_file.colour import mean_linear
from castex.scene_file.entry import Entry, picked
from castex.scene_file.nearby import Nearby, shorten
from castex.scene_file.pictures import Pictures
from castex.scene_file.specular import Glossy, converted

Texcoords = Float64[np.ndarray, "vertices 2"]
GLOSSY = "KHR_materials_pbrSpecularGlossiness"
REPEAT = 10497
# Two layouts that differ by less than this are the same layout.
SAME = 1e-5


@dataclass(frozen=True)
class Slot:
    """One picture of a material, and where its texture coordinates come from."""

    picture: str
    texcoord: int
    offset: tuple[float, ...]
    rotation: float
    scale: tuple[float, ...]
    wraps: bool

    def placed(self, v_texcoord: Texcoords) -> Texcoords:
        """Texture coordinates after KHR_texture_transform: scaled, turned counter-clockwise, shifted."""
        u, v = (v_texcoord * self.scale).T
        cosine, sine = math.cos(self.rotation), math.sin(self.rotation)
        turned = np.stack([cosine * u + sine * v, cosine * v - sine * u], axis=1)
        return turned + self.offset


class Materials:
    """Turns glTF materials into `Material`s when primitives ask for them.

    A `Primitive` has one set of texture coordinates: that of the albedo picture, or of the first picture
    there is. A picture with another layout is replaced by its mean, with a note. Ambient occlusion, emission
    and transparency are left out, the latter two with a note.
    """

    def __init__(self, root: Entry, accessors: Accessors, nearby: Nearby, pictures: Pictures) -> None:
        self._entries = root.children("materials")
        self._textures = root.children("textures")
        self._images = root.children("images")
        self._samplers = root.children("samplers")
        self._accessors = accessors
        self._nearby = nearby
        self._pictures = pictures
        self._made: dict[tuple[int | None, frozenset[str]], int] = {}
        self.materials: list[Material] = []
        self._losses: dict[str, dict[str, None]] = {}
        self._slots = [self._read_slots(entry) for entry in self._entries]

    def resolved(
        self, index: int | None, texcoords: Callable[[int], Texcoords | None]
    ) -> tuple[int, Texcoords | None]:
        """Index into `materials` of what a primitive uses, and the texture coordinates that belong to it."""
        if index is None:
            return self._index(None, frozenset()), texcoords(0)
        entry = picked(self._entries, index, "materials")
        slots = self._slots[index]
        lead: Texcoords | None = None
        kept = set()
        for name, slot in slots.items():
            stored = texcoords(slot.texcoord)
            found = None if stored is None else slot.placed(stored)
            if found is None:
                self._note(
                    entry, f"a mesh has no texture coordinates for the {name} picture, whose mean is used"
                )
            elif lead is None or np.allclose(lead, found, rtol=0, atol=SAME):
                lead = found if lead is None else lead
                kept.add(name)
                if not slot.wraps and (found.min() < -SAME or found.max() > 1 + SAME):
                    self._note(entry, "a picture is repeated where the file clamps or mirrors it")
            else:
                self._note(
                    entry, f"the {name} picture has another layout than the first one, so its mean is used"
                )
        return self._index(index, frozenset(kept)), texcoords(0) if lead is None else lead

    def notes(self) -> list[str]:
        """One sentence per kind of loss, with the first material that has it."""
        return [
            f"{sentence} ({next(iter(names))}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
            for sentence, names in self._losses.items()
        ]

    def _note(self, entry: Entry, sentence: str) -> None:
        self._losses.setdefault(sentence, {})[_title(entry)] = None

    def _index(self, index: int | None, kept: frozenset[str]) -> int:
        if (index, kept) not in self._made:
            self._made[index, kept] = len(self.materials)
            self.materials.append(Material() if index is None else self._material(index, kept))
        return self._made[index, kept]

    def _read_slots(self, entry: Entry) -> dict[str, Slot]:
        glossy = entry.extension(GLOSSY)
        if glossy is not None:
            wanted = {
                "albedo": glossy.child("diffuseTexture"),
                "gloss": glossy.child("specularGlossinessTexture"),
            }
        else:
            rough = entry.within("pbrMetallicRoughness")
            wanted = {
                "albedo": rough.child("baseColorTexture"),
                "roughness": rough.child("metallicRoughnessTexture"),
            }
        wanted["normal"] = entry.child("normalTexture")
        found = {name: self._slot(info) for name, info in wanted.items() if info is not None}
        return {name: slot for name, slot in found.items() if slot is not None}

    def _slot(self, info: Entry) -> Slot | None:
        texture = picked(self._textures, info.integer("index"), "textures")
        picture = self._source(texture)
        if picture is None:
            return None
        sampler = texture.index("sampler")
        wrapping = Entry({}, "") if sampler is None else picked(self._samplers, sampler, "samplers")
        move = info.extension("KHR_texture_transform") or Entry({}, info.where)
        return Slot(
            picture,
            move.integer("texCoord", info.integer("texCoord", 0)),
            move.numbers("offset", (0.0, 0.0)),
            move.number("rotation", 0.0),
            move.numbers("scale", (1.0, 1.0)),
            wraps=wrapping.integer("wrapS", REPEAT) == REPEAT and wrapping.integer("wrapT", REPEAT) == REPEAT,
        )

    def _source(self, texture: Entry) -> str | None:
        """The name of the picture behind a texture; it is added to the pictures."""
        webp = texture.extension("EXT_texture_webp")
        source = texture.index("source") if webp is None else webp.integer("source")
        if source is None:
            if texture.extension("KHR_texture_basisu") is not None:
                self._note(texture, "a KTX2 texture is left out")
            return None
        image = picked(self._images, source, "images")
        name = image.where
        if image.has("uri"):
            uri = image.text("uri")
            name = image.where if uri[:5].lower() == "data:" else uri
            self._pictures.add(name, self._nearby.uri(uri))
        else:
            self._pictures.add(name, self._accessors.view_bytes(image.integer("bufferView")))
        return name

    def _material(self, index: int, kept: frozenset[str]) -> Material:
        entry, slots = self._entries[index], self._slots[index]
        if entry.numbers("emissiveFactor", (0.0, 0.0, 0.0)) != (0.0, 0.0, 0.0):
            self._note(entry, "emitted light is left out")
        if entry.text("alphaMode", "OPAQUE") != "OPAQUE":
            self._note(entry, "transparency is left out")
        glossy = entry.extension(GLOSSY)
        if glossy is not None:
            made = self._glossy(entry, glossy, slots, kept)
        else:
            made = self._rough(entry.within("pbrMetallicRoughness"), slots, kept)
        if entry.extension("KHR_materials_unlit") is not None:
            self._note(entry, "an unlit material takes roughness 1 and metallic 0")
            made = replace(made, roughness=1.0, metallic=0.0, roughness_picture=None, metallic_picture=None)
        name = shorten(entry.text("name", "")) or f"material_{index}"
        if "normal" in kept:
            scale = entry.within("normalTexture").number("scale", 1.0)
            made = replace(
                made, normal_scale=scale, normal_picture=self._pictures.rgb(slots["normal"].picture)
            )
        return replace(made, name=name)

    def _rough(self, entry: Entry, slots: dict[str, Slot], kept: frozenset[str]) -> Material:
        red, green, blue, _ = (min(max(x, 0.0), 1.0) for x in entry.numbers("baseColorFactor", (1.0,) * 4))
        roughness, metallic = (
            entry.number(f"{kind}Factor", 1.0, 0.0, 1.0) for kind in ("roughness", "metallic")
        )
        albedo = self._pictures.rgb(slots["albedo"].picture) if "albedo" in slots else None
        surface = self._pictures.rgb(slots["roughness"].picture) if "roughness" in slots else None
        if albedo is not None and "albedo" not in kept:
            means = mean_linear(albedo)
            red, green, blue, albedo = red * means[0], green * means[1], blue * means[2], None
        if surface is not None and "roughness" not in kept:
            roughness, metallic = (
                factor * float(surface[..., band].mean()) / 255
                for factor, band in ((roughness, 1), (metallic, 2))
            )
            surface = None
        return Material(
            albedo=(red, green, blue),
            roughness=roughness,
            metallic=metallic,
            albedo_picture=albedo,
            roughness_picture=None if surface is None or roughness == 0 else surface[..., 1].copy(),
            metallic_picture=None if surface is None or metallic == 0 else surface[..., 2].copy(),
        )

    def _glossy(self, entry: Entry, glossy: Entry, slots: dict[str, Slot], kept: frozenset[str]) -> Material:
        self._note(entry, "a specular-glossiness material is converted")
        diffuse = glossy.numbers("diffuseFactor", (1.0,) * 4)[:3]
        specular = glossy.numbers("specularFactor", (1.0,) * 3)
        shine = glossy.number("glossinessFactor", 1.0, 0.0, 1.0)
        colour_of = self._pictures.rgb(slots["albedo"].picture) if "albedo" in slots else None
        mirror_of = self._pictures.rgb(slots["gloss"].picture) if "gloss" in slots else None
        shine_of = self._pictures.alpha(slots["gloss"].picture) if "gloss" in slots else None
        if colour_of is not None and "albedo" not in kept:
            diffuse, colour_of = _product(diffuse, mean_linear(colour_of)), None
        if mirror_of is not None and shine_of is not None and "gloss" not in kept:
            specular, shine = _product(specular, mean_linear(mirror_of)), shine * float(shine_of.mean()) / 255
            mirror_of = shine_of = None
        stated = Glossy(_colour(diffuse), _colour(specular), shine, colour_of, mirror_of, shine_of)
        colour, roughness, metallic = converted(stated)
        if colour.shape[:2] == (1, 1):
            return Material(
                albedo=mean_linear(colour), roughness=float(roughness[0, 0]) / 255,
                metallic=float(metallic[0, 0]) / 255,
            )  # fmt: skip
        return Material(
            metallic=1.0, albedo_picture=colour, roughness_picture=roughness, metallic_picture=metallic
        )


def _colour(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = (min(max(value, 0.0), 1.0) for value in values)
    return red, green, blue


def _product(left: tuple[float, ...], right: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a * b for a, b in zip(left, right, strict=True))


def _title(entry: Entry) -> str:
    name = entry.value.get("name")
    return f"{entry.where} {shorten(name)!r}" if isinstance(name, str) and name else entry.where
