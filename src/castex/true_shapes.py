"""Networks of the published shapes, without their weights: for counting, speed and memory.

A shape is a plain configuration, the same mapping that stands in a model folder's `config.json`, so the
shapes of this table and those of a folder go one way. Work and memory do not depend on what the weights are.

DeepFloyd's base models are settled: the counts come out as published. IF-II-L is not settled: read it from
the gated `config.json`, with `castex cost --model FOLDER`. The candidates were chosen because their sizes are
near the published 1.2 billion parameters, which therefore proves nothing about them; whatever depends on
IF-II-L is given for all of them. Published evidence points both ways. The script with which diffusers
converted the model (`scripts/convert_if.py`) checks five levels with 2, 2, 3 and 5 residual blocks at the
first four, and leaves self-attention out unless the original says otherwise: `a2x` or `a3x`. The published
536 to 590 milliseconds of a step, less what is not the network, lie nearest to `b`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from castex.errors import InputError, WeightsError
from castex.files import read_json

TEXT_TOKENS = 77
# Names of the candidates for IF-II-L begin with it.
UPSAMPLER = "if-ii-l"
# What a folder in the layout of a diffusers pipeline may hold beside schedulers and tokenizers.
PARTS = ("unet", "text_encoder", "vae")
DENOISERS = ("UNet2DConditionModel", "ControlNetModel")
CONDITION_BLOCKS = (16, 32, 96, 256)
DOWN, CROSS_DOWN = "ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"
UP, CROSS_UP = "ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"


@dataclass(frozen=True, slots=True)
class Shape:
    """A network to be: its configuration and what it is fed."""

    name: str
    config: Mapping[str, Any]
    """Keys of `config.json`; `_class_name` (diffusers) or `architectures` (transformers) names the class."""
    size: int
    """Side of what goes in, in pixels or latent pixels; 0 where only text goes in."""
    batch: int
    """Rows of one forward."""

    @property
    def class_name(self) -> str:
        """The class that the configuration names; WeightsError when it names none."""
        name = self.config.get("_class_name") or next(iter(self.config.get("architectures") or []), None)
        if not isinstance(name, str):
            raise WeightsError(
                f"the configuration of {self.name} names no class; save the model again with save_pretrained"
            )
        return name


def true_shapes(views: int = 8) -> dict[str, Shape]:
    """The published shapes by name; a UNet sees each view twice, with and without its prompt.

    CasTex (paper.md 1.4) renders 8 views per step. A text encoder sees a prompt and the empty text once.
    """
    base = {"if-i-m": 192, "if-i-l": 320, "if-i-xl": 704}
    rows = 2 * views
    shapes = [
        *(Shape(name, _base(width), 64, rows) for name, width in base.items()),
        *(Shape(f"{UPSAMPLER}-{name}", config, 256, rows) for name, config in _candidates().items()),
        Shape("sd-2-1", SD_UNET, 64, rows),
        Shape("sd-vae", SD_VAE, 512, views),
        Shape("t5-xxl", T5_XXL, 0, 2),
        Shape("clip-vit-b-32", CLIP_B32, 224, views),
    ]
    return {shape.name: shape for shape in shapes}


def shapes_of_folder(
    name: str, folder: Path, *, views: tuple[int, int], latent_size: int = 64
) -> list[Shape]:
    """The networks of a model folder, from their `config.json` alone: the denoiser, then what belongs to it.

    The denoiser of `if_xl` is called `if_xl`, its text encoder `if_xl/text_encoder`. `views` are those of a
    step with a base model and with an upsampler; the batch of a denoiser holds each twice. A ControlNet does
    not say for what size it is: `latent_size` does. WeightsError when there is no configuration.
    """
    if (folder / "config.json").is_file():
        found = {name: folder / "config.json"}
    else:
        paths = {part: folder / part / "config.json" for part in PARTS}
        found = {name if part == "unet" else f"{name}/{part}": p for part, p in paths.items() if p.is_file()}
    if not found:
        raise WeightsError(f"{folder} holds no config.json; fetch the model again or correct the path")
    made = []
    for part, path in found.items():
        config = read_json(path)
        text = part.endswith("text_encoder")
        vision = config.get("vision_config") or {}
        size = vision.get("image_size") or config.get("sample_size") or latent_size
        pictures = views[config.get("class_embed_type") is not None]
        denoiser = config.get("_class_name") in DENOISERS
        batch = 2 if text else 2 * pictures if denoiser else pictures
        made.append(Shape(part, config, 0 if text else int(size), batch))
    return made


def build(shape: Shape, dtype: torch.dtype = torch.bfloat16) -> nn.Module:
    """The network on the meta device, without memory. InputError for a class that is not known here."""
    config = {key: value for key, value in shape.config.items() if not key.startswith("_")}
    with torch.device("meta"):
        network = _network(shape, config)
    # diffusers' own `to` warns about modules that it would keep in float32, of which there are none.
    return nn.Module.to(network, dtype).eval()


def random_network(
    shape: Shape, *, device: torch.device | str, dtype: torch.dtype, generator: torch.Generator
) -> nn.Module:
    """The network with random weights in real memory, scaled so that activations stay finite.

    The generator lives on `device`. The weights are drawn in place: a network of 4.3 billion parameters takes
    its own 8.6 GB in bfloat16 and nothing beside it.
    """
    network = build(shape, dtype).to_empty(device=device)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim >= 2:
                weight.normal_(0, 1 / math.sqrt(weight[0].numel()), generator=generator)
            else:
                weight.fill_(1.0 if name.endswith("weight") else 0.0)
        for name, buffer in network.named_buffers():
            if not name.endswith("position_ids"):
                raise InputError(f"{shape.name} has a buffer {name} that no rule here fills")
            buffer.copy_(torch.arange(buffer.shape[-1], device=device).expand_as(buffer))
    return network


def example_inputs(
    shape: Shape,
    *,
    device: torch.device | str = "meta",
    dtype: torch.dtype = torch.bfloat16,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Keyword arguments of one forward; on the meta device no generator is needed.

    Images are (batch, channels, size, size), text embeddings (batch, 77, width), tokens (batch, 77).
    """

    def normal(*sides: int) -> Tensor:
        if generator is None:
            return torch.empty(sides, device=device, dtype=dtype)
        return torch.randn(sides, generator=generator, device=device, dtype=dtype)

    def whole(value: int, *sides: int) -> Tensor:
        return torch.full(sides, value, device=device, dtype=torch.long)

    config, rows, name = shape.config, shape.batch, shape.class_name
    if name in ("T5EncoderModel", "CLIPTextModel"):
        return {"input_ids": whole(1, rows, TEXT_TOKENS)}
    if name == "CLIPModel":
        images = normal(rows, 3, shape.size, shape.size)
        return {"input_ids": whole(1, rows, TEXT_TOKENS), "pixel_values": images}
    sample = normal(rows, int(config["in_channels"]), shape.size, shape.size)
    if name == "AutoencoderKL":
        return {"sample": sample}
    inputs = {"sample": sample, "timestep": whole(500, 1)}
    inputs["encoder_hidden_states"] = normal(rows, TEXT_TOKENS, _text_width(config))
    if config.get("class_embed_type") is not None:
        inputs["class_labels"] = whole(500, rows)
    if name == "ControlNetModel":
        # Each further block of the condition's own encoder halves it.
        blocks = config.get("conditioning_embedding_out_channels") or CONDITION_BLOCKS
        side = shape.size * 2 ** (len(blocks) - 1)
        inputs["controlnet_cond"] = normal(rows, 3, side, side)
    return inputs


def _network(shape: Shape, config: Mapping[str, Any]) -> nn.Module:
    """An instance of the class that the shape names, on the current default device."""
    name = shape.class_name
    if name in (*DENOISERS, "AutoencoderKL"):
        import diffusers

        made: nn.Module = getattr(diffusers, name).from_config(dict(config))
        return made
    if name not in ("T5EncoderModel", "CLIPModel", "CLIPTextModel"):
        raise InputError(f"{shape.name} is a {name}, which cannot be counted; give a UNet, VAE, T5 or CLIP")
    import transformers

    cls = getattr(transformers, name)
    network: nn.Module = cls(cls.config_class(**config))
    return network


def _text_width(config: Mapping[str, Any]) -> int:
    width = config.get("encoder_hid_dim") or config["cross_attention_dim"]
    return int(width if isinstance(width, int) else width[0])


def _base(width: int) -> dict[str, Any]:
    """IF-I: four resolutions from 64 px, three residual blocks each, attention at the three coarser ones."""
    return _common([width, 2 * width, 3 * width, 4 * width], levels=3) | {
        "sample_size": 64,
        "in_channels": 3,
        "layers_per_block": 3,
    }


def _candidates() -> dict[str, dict[str, Any]]:
    """What IF-II-L may be: `a` of paper.md 7.1 with attention at two or three levels, `b` of field.md 4.1.

    With `x` attention goes to the text alone, not among the pixels, as in diffusers' conversion.
    """
    a = {"widths": [160, 320, 640, 960, 1280], "layers": [2, 2, 3, 5, 5]}
    plain = {
        "a2": _upsampler(**a, levels=2),
        "a3": _upsampler(**a, levels=3),
        "b": _upsampler([160, 320, 640, 1280], layers=[2, 4, 8, 8], levels=1),
    }
    return plain | {f"{name}x": config | {"only_cross_attention": True} for name, config in plain.items()}


def _upsampler(widths: list[int], *, layers: list[int], levels: int) -> dict[str, Any]:
    """IF-II: a noisy picture and its low-resolution condition in, attention at the coarsest `levels`."""
    return _common(widths, levels=levels) | {
        "sample_size": 256,
        "in_channels": 6,
        "layers_per_block": layers,
        "class_embed_type": "timestep",
        "time_embedding_act_fn": "gelu",
        "resnet_skip_time_act": True,
        "resnet_out_scale_factor": math.sqrt(2),
        "mid_block_scale_factor": math.sqrt(2),
    }


def _common(widths: list[int], *, levels: int) -> dict[str, Any]:
    plain = len(widths) - levels
    return {
        "_class_name": "UNet2DConditionModel",
        "out_channels": 6,
        "block_out_channels": widths,
        "down_block_types": [DOWN] * plain + [CROSS_DOWN] * levels,
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": [CROSS_UP] * levels + [UP] * plain,
        "act_fn": "gelu",
        "norm_num_groups": 32,
        "attention_head_dim": 64,
        "cross_attention_dim": widths[-1],
        "cross_attention_norm": "group_norm",
        "encoder_hid_dim": 4096,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 64,
        "resnet_time_scale_shift": "scale_shift",
    }


SD_UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
SD_VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
T5_XXL: dict[str, Any] = {
    "architectures": ["T5EncoderModel"],
    "vocab_size": 32128,
    "d_model": 4096,
    "d_ff": 10240,
    "d_kv": 64,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
CLIP_B32: dict[str, Any] = {
    "architectures": ["CLIPModel"],
    "projection_dim": 512,
    "text_config": {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8},
    "vision_config": {"hidden_size": 768, "intermediate_size": 3072, "patch_size": 32, "image_size": 224},
}
