"""Settings of what comes from outside: downloads, Objaverse, panoramas, the asset sheet, preparation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from castex.settings.base import Address, Name, Settings, Sha256

Split = Literal["benchmark", "corpus", "held-out"]
# A path below the cache: plain names, no `..`, nothing absolute.
CachePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]


SMALLEST_ATLAS, LARGEST_ATLAS = 16, 4096
"""Side of an atlas in texels."""
LONGEST_UNWRAP_S = 3600.0


class DownloadSettings(Settings):
    """How patient a download is. Only network errors are tried again; none of this changes any byte."""

    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds without a byte, or without an answer, after which a connection counts as dead."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 6
    """Attempts in a row that may bring nothing before the download is given up."""
    backoff_s: Annotated[float, Field(ge=0)] = 2.0
    """Seconds before the second attempt; each further wait is twice as long."""
    longest_wait_s: Annotated[float, Field(ge=0)] = 120.0
    """Longest single wait in seconds; a server that asks for more (Retry-After) is not waited for."""
    largest_bytes: Annotated[int, Field(ge=1)] = 20_000_000_000
    """A file that is announced, or grows, larger than this many bytes is refused."""


class ObjaverseSettings(Settings):
    """Where Objaverse objects come from and where they rest, in the layout of the `objaverse` package."""

    base_url: Address = "https://huggingface.co/datasets/allenai/objaverse/resolve/main"
    """Folder on the web that holds object-paths.json.gz, metadata/ and glbs/; a mirror can stand here."""
    cache: str | None = None
    """Local folder for these files; empty means `objaverse` below the common cache."""
    supplied: str | None = None
    """Folder with files that somebody brought here: the same layout, or a flat one of <uid>.glb. It is
    searched before the network, checked, and never written to."""


class FileSettings(Settings):
    """One file from outside: a panorama, the weights of a metric, a mesh."""

    urls: Annotated[list[Address], Field(min_length=1)]
    """Where it can be had, mirrors in order."""
    path: CachePath
    """Where it rests, relative to the cache."""
    local: str | None = None
    """A copy that is already on this machine; it wins over the addresses, is checked, and never changed."""
    sha256: Sha256 | None = None
    """Its SHA-256; an unknown one stays empty and is recorded at first download."""
    sha256_begins: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    """The first digits of its SHA-256, where its publisher states no more (8 in the names of torch's hub)."""
    bytes: Annotated[int, Field(ge=1)] | None = None
    """Its size in bytes, where known."""
    licence: str
    """Its licence, as an SPDX identifier where there is one."""
    gate: Address | None = None
    """Page on which a licence has to be accepted before the file can be had."""
    notes: str = ""
    """What it is for."""


class LightSettings(Settings):
    """One environment light: a panorama from a file, or one that this package generates."""

    file: Name | None = None
    """Name of an entry of `files`: an equirectangular .hdr or .exr with linear radiance."""
    generated: Literal["studio", "sky", "sunset"] | None = None
    """Name of a generated panorama."""
    intensity: Annotated[float, Field(gt=0)] = 1.0
    """Factor on its radiance."""
    side: Literal[32, 64, 128, 256, 512, 1024] = 512
    """Side in texels of the sharpest level of the prefiltered cube map; 512 in nvdiffrec."""

    @model_validator(mode="after")
    def _has_one_source(self) -> LightSettings:
        if (self.file is None) == (self.generated is None):
            raise ValueError("a light needs either `file` or `generated`")
        return self


class PrepareSettings(Settings):
    """From a mesh file to one normalised mesh with one atlas."""

    size: Annotated[int, Field(ge=SMALLEST_ATLAS, le=LARGEST_ATLAS)]
    """Side in texels of the square atlas into which an asset's own materials are baked."""
    keep_uv: bool
    """Keep valid texture coordinates that do not overlap; the published method always makes new ones."""
    time_limit_s: Annotated[float, Field(gt=0, le=LONGEST_UNWRAP_S, allow_inf_nan=False)] = 60.0
    """Wall-clock seconds that the unwrapper gets before a simpler method takes its place."""


class AssetsSettings(Settings):
    """Which rows of the asset sheet a scale uses, and how they are prepared."""

    sheet: str = "data/assets.tsv"
    """The table of assets: one row per 3D object."""
    splits: Annotated[list[Split], Field(min_length=1)]
    """Splits that the scale uses."""
    names: list[Name] | None = None
    """Only these assets of those splits; empty means all."""
    prepare: PrepareSettings
    """Atlas size and texture coordinates."""
