"""One network of a model folder: loaded, put where it runs, and asked."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from castex.errors import InputError, WeightsError
from castex.protocols import Sample, Text
from castex.settings.models import EmbedSettings, ExecutionSettings
from castex.weights import ModelFolder, Part, find_part

STEM = "diffusion_pytorch_model"
ON_CPU = ExecutionSettings()


@dataclass(frozen=True, slots=True)
class Network:
    """A denoising network and how it is run. Samples come and go in their own number format."""

    module: Any
    """A `UNet2DConditionModel` or `ControlNetModel`; typed loosely, because diffusers is half typed."""
    config: dict[str, Any]
    device: torch.device
    precision: torch.dtype
    memory_format: torch.memory_format
    identity: str
    """A string that changes with its files."""

    def __call__(self, x: Sample, timestep: int, text: Text | None, **more: Any) -> Any:
        """What the network returns first: for a UNet its prediction, in the number format of `x`.

        `text` has one row, or one per sample. InputError when it is missing or of another encoder.
        """
        predicted = self.outputs(x, timestep, text, **more)[0]
        return predicted.to(x.dtype)

    def outputs(self, x: Sample, timestep: int, text: Text | None, **more: Any) -> Any:
        """The whole tuple that the network returns, in its own number format."""
        if x.shape[1] != self.channels:
            raise InputError(f"a sample of {x.shape[1]} channels for a network of {self.channels}; check it")
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise InputError(
                f"a sample of {x.shape[2]} x {x.shape[3]} for a network that halves its sides down to one in "
                f"{self.stride}; make both sides multiples of {self.stride}"
            )
        return self.module(
            self.laid_out(x),
            torch.full((len(x),), timestep, device=self.device),
            encoder_hidden_states=self._checked(text, len(x)).to(self.device, self.precision),
            return_dict=False,
            **more,
        )

    def laid_out(self, x: Tensor) -> Tensor:
        """A picture in the number format and memory layout of the network."""
        return x.to(self.device, self.precision).contiguous(memory_format=self.memory_format)

    @property
    def channels(self) -> int:
        """Channels of what goes in."""
        return int(self.config["in_channels"])

    @property
    def size(self) -> int:
        """Side in pixels, or latent pixels, of the samples that it was trained on."""
        return int(self.config["sample_size"])

    @property
    def stride(self) -> int:
        """What both sides of a sample must be multiples of: every level but the last halves them."""
        return int(2 ** (len(self.config["block_out_channels"]) - 1))

    @property
    def text_width(self) -> int:
        """Numbers per token that its text encoder gives."""
        return int(self.config.get("encoder_hid_dim") or self.config["cross_attention_dim"])

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.module.parameters())

    def _checked(self, text: Text | None, batch: int) -> Tensor:
        if text is None:
            raise InputError("this model needs a prompt; give the condition an embedded text")
        if text.shape[2] != self.text_width or len(text) not in (1, batch):
            raise InputError(
                f"a text of shape {tuple(text.shape)} for {batch} samples and a network that takes "
                f"{self.text_width} numbers per token; embed it with this model's text encoder"
            )
        return text.expand(batch, -1, -1)


def load_network(
    folder: ModelFolder, subfolder: str, kind: str, execution: ExecutionSettings, **needed: Any
) -> Network:
    """A UNet2DConditionModel or ControlNetModel whose configuration has what is `needed`."""
    import diffusers

    part = find_part(folder, subfolder, kind, STEM)
    for key, value in needed.items():
        if part.config.get(key) != value:
            raise WeightsError(
                f"{part.path / 'config.json'} says {key}={part.config.get(key)!r} where {value!r} is needed; "
                "it is another model"
            )
    precision = resolved_precision(execution)
    module = load_part(getattr(diffusers, kind), part, precision)
    return _placed(module, part, execution, precision, folder.identity(*([subfolder] if subfolder else [])))


def load_part(kind: Any, part: Part, precision: torch.dtype) -> Any:
    """A diffusers network from its checked files; WeightsError when they do not fit its configuration.

    With accelerate there is one copy of the weights in memory while they are read, otherwise two.
    """
    frugal = importlib.util.find_spec("accelerate") is not None
    return from_files(kind, part, surplus=False, torch_dtype=precision, low_cpu_mem_usage=frugal)


def from_files(kind: Any, part: Part, *, surplus: bool, **how: Any) -> Any:
    """A network of diffusers or transformers from checked files; `how` is what its `from_pretrained` takes.

    The libraries only warn when weights are missing, and go on with random ones: that is an error here, and
    so are weights that nothing takes, unless `surplus` allows them (published text encoders hold a few).
    """
    try:
        with _quietly():
            module, report = kind.from_pretrained(
                part.path,
                variant=part.variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **how,
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise cannot_load(part.path, kind.__name__, reason_of(error)) from error
    faults = ["missing_keys", "mismatched_keys", *([] if surplus else ["unexpected_keys"])]
    for fault in faults:
        if report[fault]:
            first = sorted(map(str, report[fault]))[0]
            raise cannot_load(part.path, kind.__name__, f"{fault.replace('_', ' ')}, {first}")
    # An index may promise a weight that its shard does not hold; it is left without a value.
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_meta:
            raise cannot_load(part.path, kind.__name__, f"missing keys, {name}")
    return module.eval().requires_grad_(False)


def reason_of(error: Exception) -> str:
    """What a library said, in one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def cannot_load(path: Path, kind: str, reason: str) -> WeightsError:
    """The error of a folder whose files do not make a network or a tokenizer."""
    article = "an" if kind[0] in "AEIO" else "a"
    return WeightsError(f"{path} cannot be loaded as {article} {kind}: {reason}")


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's warnings about weights: what they say is an error of ours."""
    logger = logging.getLogger("diffusers")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _placed(
    module: Any, part: Part, execution: ExecutionSettings, precision: torch.dtype, identity: str
) -> Network:
    device = torch.device(execution.device)
    memory_format = torch.channels_last if execution.channels_last else torch.contiguous_format
    if execution.attention == "plain":
        module.set_default_attn_processor()
    module = module.to(device).to(memory_format=memory_format)
    if execution.compile:
        compiler: Callable[..., Any] = torch.compile
        module = compiler(module, dynamic=False)
    return Network(module, part.config, device, precision, memory_format, identity)


def resolved_precision(execution: ExecutionSettings | EmbedSettings) -> torch.dtype:
    """The number format that `precision` stands for: `auto` is float16 on CUDA and float32 on a CPU."""
    if execution.precision == "auto":
        return torch.float16 if execution.device == "cuda" else torch.float32
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[
        execution.precision
    ]
