"""Settings of what is learned elsewhere: where models come from, how they are run, what is asked of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from castex.settings.base import Address, Name, Settings, Sha256

# A path inside a repository; `*` stands for any characters but `/`.
ModelFile = Annotated[str, Field(pattern=r"^[A-Za-z0-9_*][A-Za-z0-9_.*-]*(/[A-Za-z0-9_*][A-Za-z0-9_.*-]*)*$")]
Repository = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
READABLE = (".json", ".txt", ".model", ".safetensors")
"""How names of files end that may be fetched: settings, word lists, SentencePiece's pieces, weights. Pickles,
code and everything that is not known here stays away."""


class ModelSettings(Settings):
    """Where one model comes from: a local folder, or a revision of a repository on the Hub."""

    folder: str | None = None
    """Local folder with a SHA256SUMS file; wins over the repository when it is set."""
    repository: Repository | None = None
    """Repository on the Hugging Face Hub, `owner/name`."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")] | None = None
    """Commit of that repository, never a branch name. Of an abbreviated one, or none, the 40 digits are
    looked up at the first download, recorded, and used ever after."""
    mirrors: list[Repository] = Field(default=[])
    """Repositories with the same files, tried in order when `repository` does not give them. Their commits
    are their own: they are recorded at the first download."""
    files: dict[ModelFile, Sha256 | None] = Field(default={})
    """Files to fetch with their SHA-256; an unknown hash stays empty and is recorded at first download. A `*`
    stands for what is not known of a name; the shards that an index names come with it."""
    licence: str
    """Licence of the weights, as an SPDX identifier where there is one."""
    gate: Address | None = None
    """Page on which the licence has to be accepted before the weights can be had."""
    needed: bool = True
    """False for a model without which every rule of `all` runs: its folder may be absent."""
    text: Name | None = None
    """Model whose text encoder and tokenizer this one was trained with; empty means its own."""

    @field_validator("files")
    @classmethod
    def _no_pickles(cls, files: dict[str, str | None]) -> dict[str, str | None]:
        for name, digest in files.items():
            # A pattern may end in `*`; what it brings is chosen by the same list.
            if not name.endswith((*READABLE, "*")):
                raise ValueError(
                    f"{name} is no safetensors file and no settings; only {', '.join(READABLE)} are fetched, "
                    "pickles and code are not"
                )
            if "*" in name and digest is not None:
                raise ValueError(f"{name} is a pattern, which has no hash of its own")
        return files

    @model_validator(mode="after")
    def _has_a_source(self) -> ModelSettings:
        if self.folder is None and (self.repository is None or not self.files):
            raise ValueError("a model needs `folder`, or `repository` with `files`")
        return self


class ExecutionSettings(Settings):
    """How a network is run; none of it changes what is computed beyond rounding."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the network runs."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of weights and activations. `auto`: float16 on CUDA, as the paper; float32 on a CPU, so
    that results do not depend on its kind. bfloat16 is up to 1.7 times as fast on a CPU that multiplies it
    in hardware, and changes a prediction at guidance scale 15 by 5 %; float16 on a CPU is the slowest."""
    channels_last: bool = True
    """Memory layout with the channels innermost: a tenth faster on a CPU, more on CUDA."""
    compile: bool = False
    """Compile with torch.compile: a minute at the first call, of no use on a CPU."""
    attention: Literal["sdpa", "plain"] = "sdpa"
    """torch's fused attention, or the products written out."""


class EmbedSettings(Settings):
    """How the text encoder is run, in a process of its own."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the text encoder runs."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of its weights. `auto`: float16 on CUDA, float32 on a CPU, where it runs once."""
    eight_bit: bool = False
    """Weights in 8 bit, as the paper has them; CUDA alone, and needs the package bitsandbytes."""


class PromptSettings(Settings):
    """Texts that are embedded together."""

    texts: Annotated[list[str], Field(min_length=1)]
    """Prompts. The empty text, which stands for no prompt, is always added."""
    views: bool = True
    """Add each prompt once more with each view word, as `a vase, front view`."""

    @field_validator("texts")
    @classmethod
    def _says_something(cls, texts: list[str]) -> list[str]:
        if not all(text.strip() for text in texts):
            raise ValueError(
                "a prompt is empty; the empty text is embedded in any case, so give a prompt that "
                "says something"
            )
        return texts


class ThresholdSettings(Settings):
    """What is done to a predicted clean picture that leaves [-1, 1]."""

    kind: Literal["none", "clip", "dynamic"] = "none"
    """`clip`: cut at -1 and 1, as the paper does with x0_hat. `dynamic`: cut at a quantile of the absolute
    values and divide by it, as DeepFloyd's samplers do. Latent codes need `none`."""
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Quantile of the absolute values of one picture; for `dynamic` alone."""
    largest: Annotated[float, Field(ge=1)] = 1.5
    """Largest value that the quantile may have: 1.5 in DeepFloyd's base stage, 1 in its upsampler, where
    `dynamic` is therefore the same as `clip`."""


class LowResolutionSettings(Settings):
    """The picture that the upsampler of the cascade is conditioned on."""

    base_size: Annotated[int, Field(ge=8)] = 64
    """Side in pixels to which a render is reduced first: that of the base model."""
    form: Literal["nearest", "bilinear", "centred"] = "nearest"
    """`nearest`: every n-th pixel, repeated, as the paper does. `bilinear`: reduced with antialiasing and
    enlarged with aligned corners, as the diffusers library does, which stretches the picture by a low pixel.
    `centred`: the same without the stretch; the mini stage II learns from this form and from `nearest`."""
    level: Annotated[int, Field(ge=0, le=999)] = 500
    """Timestep of the noise that is added, also given to the network; 500 in the paper, 250 in diffusers."""
