"""Folders of the mini latent models, in the layout of Stable Diffusion's repositories."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from castex.diffusion.network import STEM, load_part
from castex.files import write_json
from castex.training.latent_networks import new_latent_scheduler
from castex.weights import ModelFolder, find_part, locate

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer


def save_stable_diffusion(
    folder: Path, unet: Any, encoder: Any, tokenizer: CLIPTokenizer, vae: ModelFolder
) -> None:
    """What `StableDiffusionPipeline.save_pretrained` lays out, weights in half precision, no safety checker.

    The autoencoder's files are copied as they are.
    """
    import diffusers

    _half(unet).save_pretrained(folder / "unet")
    _half(encoder).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    new_latent_scheduler().save_pretrained(folder / "scheduler")
    (folder / "vae").mkdir(parents=True)
    for name in vae.files:
        shutil.copyfile(vae.path / name, folder / "vae" / name)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": str(diffusers.__version__),
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    write_json(folder / "model_index.json", index)


def save_controlnet(folder: Path, network: Any) -> None:
    """What `ControlNetModel.save_pretrained` writes, in half precision."""
    _half(network).save_pretrained(folder)


def load_latent(folder: Path) -> tuple[UNet2DConditionModel, CLIPTextModel, CLIPTokenizer]:
    """UNet, text encoder and tokenizer of a Stable Diffusion folder: checked, frozen, in float32."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    found = locate(folder)
    part = find_part(found, "unet", "UNet2DConditionModel", STEM)
    unet: UNet2DConditionModel = load_part(UNet2DConditionModel, part, torch.float32)
    encoder: CLIPTextModel = CLIPTextModel.from_pretrained(
        found.path / "text_encoder", use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(found.path / "tokenizer", local_files_only=True)
    encoder.train(False)
    return unet, encoder.requires_grad_(False), tokenizer


def _half(network: nn.Module) -> Any:
    return copy.deepcopy(network).cpu().half()
