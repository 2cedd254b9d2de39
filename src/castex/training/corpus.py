"""The corpus: every mesh in every material and colour, rendered as synthesis will see it, with ground truth.

One shard per mesh and material, `shards/<mesh>-<material>.safetensors`, each made from its own seeds: shards
can be made in any order, by any number of processes, and again after a kill, with the same bytes. All
pictures are linear, clamped to [0, 1], and stored as uint8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from castex.errors import InputError
from castex.files import write_tensors
from castex.gather import Lookup, pyramid
from castex.light import EnvironmentLight
from castex.maps import TextureMaps, grey_maps
from castex.mesh import Mesh
from castex.raster import Raster
from castex.render import depth_pictures, shaded_pixels
from castex.rng import generator
from castex.settings.training import CorpusSettings
from castex.shading import LightTables, pack
from castex.shot import Shot, sample_shot, view_words
from castex.training.captions import UNTEXTURED, VIEWS, held_out
from castex.training.materials import COLOURS, MATERIALS, material_maps, texel_points
from castex.visibility import visibility_of

HALVES = ("models", "judge")
"""Who learns from which pictures: the generators from the first half, the model that names what they drew
and yields the features of the distances from the second."""
KINDS = (*MATERIALS, UNTEXTURED)
LAYERS = {"image": slice(0, 3), "albedo": slice(3, 6), "surface": slice(6, 8), "depth": slice(8, 9)}
"""Channels: picture, albedo, (roughness, metallic), and depth as `render.depth_pictures` has it."""


@dataclass(frozen=True)
class Work:
    """One shard to be made."""

    mesh: str
    material: str
    pairs: tuple[str, ...]
    """Colours of the material that it holds."""


def shard_list(settings: CorpusSettings, meshes: Sequence[str], *, everything: bool) -> list[Work]:
    """The shards of a corpus; `everything` adds the held-out pairs and the untextured control,
    and takes all meshes. InputError for a name that does not exist."""
    for what, asked, known in (
        ("materials", settings.materials, MATERIALS),
        ("meshes", None if everything else settings.meshes, meshes),
    ):
        unknown = [name for name in asked or [] if name not in known]
        if unknown:
            raise InputError(
                f"corpus.{what} names the unknown {unknown[0]!r}; choose from {', '.join(known)}"
            )
    kinds = [name for name in MATERIALS if settings.materials is None or name in settings.materials]
    chosen = [name for name in meshes if everything or settings.meshes is None or name in settings.meshes]
    work = [
        Work(mesh, kind, tuple(c for c in COLOURS if everything or not held_out(kind, c)))
        for mesh in chosen
        for kind in kinds
    ]
    return work + [Work(mesh, UNTEXTURED, ("white",)) for mesh in chosen if everything]


class Studio:
    """One mesh under all lights of the corpus, ready to be rendered in any maps."""

    def __init__(
        self, name: str, mesh: Mesh, lights: Sequence[EnvironmentLight], settings: CorpusSettings
    ) -> None:
        self.name, self._settings = name, settings
        device = mesh.v_position.device
        self._points = texel_points(mesh, settings.atlas)
        self._raster, self._visibility = Raster(mesh), visibility_of(mesh)
        self._tables = [pack(x.diffuse, x.specular, x.brdf, torch.float32, device) for x in lights]
        self._device = device

    def shard(self, work: Work) -> dict[str, Tensor]:
        """All pictures of one shard: `image`, `albedo`, `surface`, `depth` (uint8) and `facts`.

        A row of `facts` holds the indices of material (in `KINDS`), colour, view word, half and light.
        """
        pictures, facts = [], []
        for colour in work.pairs:
            stream = generator(self._settings.seed, f"{self.name}-{work.material}-{colour}", "corpus")
            maps = self._maps(work.material, colour, int(torch.randint(2**31, (), generator=stream)))
            texels = pyramid(maps.stacked()).to(self._device)
            for half in range(len(HALVES)):
                for _ in range(self._settings.shots):
                    shot = sample_shot(self._settings.shot, generator=stream)
                    light = int(torch.randint(len(self._tables), (), generator=stream))
                    grounds = torch.rand(len(shot), 3, generator=stream)
                    pictures.append(self._pictures(texels, shot, self._tables[light], grounds).cpu())
                    facts += [
                        [KINDS.index(work.material), list(COLOURS).index(colour), VIEWS.index(v), half, light]
                        for v in view_words(shot)
                    ]
        whole = torch.cat(pictures)
        layers = {name: whole[:, channels].contiguous() for name, channels in LAYERS.items()}
        return layers | {"facts": torch.tensor(facts, dtype=torch.uint8)}

    def _maps(self, material: str, colour: str, seed: int) -> TextureMaps:
        if material == UNTEXTURED:
            return grey_maps(self._settings.atlas)
        return material_maps(self._points, material, colour, seed=seed)

    @torch.no_grad()
    def _pictures(
        self, texels: Tensor, shot: Shot, tables: LightTables, grounds: Float[Tensor, "views 3"]
    ) -> UInt8[Tensor, "views 9 size size"]:
        size, views, side = self._settings.size, len(shot), self._settings.atlas
        hits = self._visibility(shot, size)
        buffer = self._raster(hits, shot)
        seen = Lookup(buffer.gb_texcoord, buffer.gb_footprint, side, side)(texels)
        colour = shaded_pixels(seen, buffer, tables, shot.light_rotation)
        packed = torch.cat([colour, seen[:, :5].T])
        canvas = torch.zeros(9, views * size * size, dtype=torch.uint8, device=self._device)
        canvas[:3] = _bytes(grounds).T.repeat_interleave(size * size, dim=1).to(self._device)
        canvas[:8, buffer.gb_pixel_idx] = _bytes(packed)
        canvas[8] = _bytes(depth_pictures(self._raster.depth(hits, shot))).flatten()
        return canvas.view(9, views, size, size).transpose(0, 1).contiguous()


def _bytes(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def shard_path(work: Work, folder: Path) -> Path:
    """Where a shard of the corpus in `folder` lies."""
    return folder / "shards" / f"{work.mesh}-{work.material}.safetensors"


def make_shard(studio: Studio, work: Work, folder: Path) -> Path:
    """Make one shard; the file appears whole or not at all."""
    path = shard_path(work, folder)
    write_tensors(path, studio.shard(work))
    return path


def pictures_per_pair(settings: CorpusSettings) -> int:
    """Pictures of one mesh in one material and colour, both halves together."""
    return math.prod((len(HALVES), settings.shots, settings.shot.views))
