"""A CLIP model that compares pictures with sentences, and whose features stand for pictures.

Pictures are prepared as CLIP's own image processor does it, in torch: the shorter side is brought to the
model's size (bicubic, antialiased), the middle is cut out, and the values are normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.diffusion.network import from_files
from castex.errors import WeightsError
from castex.prompt import load_tokenizer
from castex.protocols import Image
from castex.weights import ModelFolder, find_part, locate, read_config

PROCESSOR = "preprocessor_config.json"
BICUBIC = 3
BATCH = 128
"""Pictures per call of the network."""

Features = Float[Tensor, "rows numbers"]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What CLIP's image processor does to a picture."""

    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Image) -> Float[Tensor, "views 3 side side"]:
        """Pictures in [0, 1] as the network wants them; the rounding to bytes is left out."""
        height, width = images.shape[2:]
        short = min(height, width)
        size = [self.side * height // short, self.side * width // short]
        if size != [height, width]:
            images = F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
        top, left = ((extent - self.side) // 2 for extent in size)
        middle = images[:, :, top : top + self.side, left : left + self.side].clamp(0, 1)
        mean, std = (middle.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (middle - mean) / std


@dataclass(frozen=True, slots=True)
class Judge:
    """A `CLIPModel` with its tokenizer and its preparation of pictures."""

    network: Any
    tokenizer: Any
    prepare: Preparation
    identity: str
    """A string that changes with any of its files."""

    @torch.no_grad()
    def image_features(self, images: Image) -> Features:
        """One row of unit length per picture; pictures in [0, 1], of any size."""
        device = self.network.device
        rows = [
            self.network.get_image_features(pixel_values=self.prepare(part).to(device)).pooler_output
            for part in torch.split(images, BATCH)
        ]
        return F.normalize(torch.cat(rows).float(), dim=1).cpu()

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Features:
        """One row of unit length per sentence; what is beyond the model's longest sentence is cut off."""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        rows = self.network.get_text_features(**tokens.to(self.network.device)).pooler_output
        return F.normalize(rows.float(), dim=1).cpu()

    def similarities(self, images: Image, texts: Sequence[str]) -> Float[Tensor, "views sentences"]:
        """Cosines of pictures and sentences times the model's scale: a softmax makes them shares."""
        scale = float(self.network.logit_scale.detach().float().exp())
        return scale * self.image_features(images) @ self.text_features(texts).T


def load_judge(path: Path, *, device: str = "cpu") -> Judge:
    """A CLIP model from a folder or a lock file, every file checked; float32, widened if need be.

    WeightsError, in one sentence, for a folder that is altered, incomplete or another kind of model.
    """
    from transformers import CLIPModel

    folder = locate(path)
    part = find_part(folder, "", "CLIPModel", "model")
    prepare = read_preparation(folder)
    network = from_files(CLIPModel, part, surplus=True, dtype=torch.float32).to(device)
    tokenizer = load_tokenizer(folder, "", "CLIPTokenizer")
    tokenizer.model_max_length = int(network.config.text_config.max_position_embeddings)
    return Judge(network, tokenizer, prepare, folder.identity())


def read_preparation(folder: ModelFolder) -> Preparation:
    """What a folder's image processor does; WeightsError when that is not CLIP's way."""
    config = read_config(folder, PROCESSOR)
    try:
        size, crop = config["size"], config["crop_size"]
        # Older files have a number for either.
        side = size["shortest_edge"] if isinstance(size, dict) else size
        cut = crop["height"] if isinstance(crop, dict) else crop
        plain = side == cut and config.get("resample", BICUBIC) == BICUBIC
        result = Preparation(int(side), tuple(config["image_mean"]), tuple(config["image_std"]))
    except (KeyError, TypeError, ValueError):
        plain, result = False, Preparation(0, (), ())
    if not plain:
        raise WeightsError(
            f"{folder.path / PROCESSOR} does not bring the shorter side to the size of the middle that is "
            "cut out, bicubic, as CLIP's does; it is another kind of model"
        )
    return result
