"""Folders of the mini cascade, in the layout of DeepFloyd's repositories."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from castex.diffusion.network import STEM, from_files, load_part
from castex.errors import WeightsError
from castex.files import write_json
from castex.prompt import ENCODER, TOKENIZER, load_tokenizer
from castex.training.networks import new_noising_scheduler, new_scheduler
from castex.weights import find_part, locate

if TYPE_CHECKING:
    from transformers import T5EncoderModel, T5Tokenizer

NO_CHECKER = {"feature_extractor": [None, None], "safety_checker": [None, None], "watermarker": [None, None]}


def save_base(folder: Path, unet: Any, encoder: Any, tokenizer: T5Tokenizer) -> None:
    """Stage I as `IFPipeline.save_pretrained` lays it out, weights in half precision."""
    _save(folder, unet, encoder, tokenizer, "IFPipeline", upsampler=False)


def save_upsampler(folder: Path, unet: Any, encoder: Any, tokenizer: T5Tokenizer) -> None:
    """Stage II as `IFSuperResolutionPipeline.save_pretrained` lays it out, weights in half precision."""
    _save(folder, unet, encoder, tokenizer, "IFSuperResolutionPipeline", upsampler=True)
    new_noising_scheduler().save_pretrained(folder / "image_noising_scheduler")


def _save(
    folder: Path, unet: Any, encoder: Any, tokenizer: T5Tokenizer, pipeline: str, *, upsampler: bool
) -> None:
    network = half(unet)
    # The untrained variance channels say "in the middle of the range" rather than something random.
    network.conv_out.weight.data[3:] = 0
    network.conv_out.bias.data[3:] = 0
    network.save_pretrained(folder / "unet")
    half(encoder).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    new_scheduler(upsampler=upsampler).save_pretrained(folder / "scheduler")
    parts: dict[str, Any] = {
        "_class_name": pipeline,
        "_diffusers_version": _version(),
        "requires_safety_checker": False,
        "scheduler": ["diffusers", "DDPMScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    if upsampler:
        parts["image_noising_scheduler"] = ["diffusers", "DDPMScheduler"]
    write_json(folder / "model_index.json", parts | NO_CHECKER)


def half(network: nn.Module) -> Any:
    """A copy on the CPU in half precision, as it is written; WeightsError for weights that it cannot hold."""
    narrow = copy.deepcopy(network).cpu().half()
    for name, weight in narrow.named_parameters():
        if not bool(weight.isfinite().all()):
            raise WeightsError(
                f"{name} has weights that are no numbers, or too large for half precision; nothing is written"
            )
    return narrow


def _version() -> str:
    import diffusers

    return str(diffusers.__version__)


def load_unet(folder: Path) -> Any:
    """The UNet of a trained model of the cascade, every byte checked, in float32; WeightsError as above."""
    import torch
    from diffusers import UNet2DConditionModel

    part = find_part(locate(folder), "unet", "UNet2DConditionModel", STEM)
    return load_part(UNet2DConditionModel, part, torch.float32)


def load_text(folder: Path) -> tuple[T5Tokenizer, T5EncoderModel]:
    """Tokenizer and encoder of a trained base model, every byte checked, in float32.

    WeightsError for files that nobody checked and for weights that are missing, as in `castex.prompt`.
    """
    import torch
    from transformers import T5EncoderModel

    found = locate(folder)
    part = find_part(found, ENCODER, "T5EncoderModel", "model")
    encoder: T5EncoderModel = from_files(T5EncoderModel, part, surplus=True, dtype=torch.float32)
    return load_tokenizer(found, TOKENIZER, "T5Tokenizer"), encoder
