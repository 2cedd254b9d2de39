"""The corpus as a latent model sees it: one posterior per picture, computed once.

Half of a training step's time would go into the encoder otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Float16
from safetensors.torch import load_file
from torch import Tensor

from castex.diffusion.network import STEM, load_part
from castex.errors import InputError
from castex.files import fingerprint, read_json, write_json, write_tensors
from castex.progress import Progress
from castex.training.corpus_data import Pictures
from castex.training.precision import autocast
from castex.weights import ModelFolder, find_part

TENSORS, RECORD = "codes.safetensors", "codes.json"
PIECE = 32


def pieces(values: Tensor, size: int) -> list[Tensor]:
    """The rows in groups of `size`, the last one shorter."""
    return [values[start : start + size] for start in range(0, len(values), size)]


@dataclass(frozen=True)
class Codes:
    """Scaled posteriors of pictures and the facts behind them."""

    mean: Float16[Tensor, "pictures 4 height width"]
    std: Float16[Tensor, "pictures 4 height width"]
    pictures: Pictures
    """Facts and captions, without any layer."""
    vae: dict[str, str]
    """Hashes of the autoencoder's files."""

    def sample(self, index: Tensor, stream: torch.Generator) -> Float[Tensor, "batch 4 height width"]:
        """One draw from each posterior."""
        mean, std = self.mean[index].float(), self.std[index].float()
        return mean + std * torch.randn(mean.shape, generator=stream)


@torch.no_grad()
def encode_corpus(pictures: Pictures, vae: ModelFolder, folder: Path, *, device: str = "cpu") -> None:
    """Write the posterior of every picture (layer `image`), times the scaling factor, in half precision."""
    from diffusers import AutoencoderKL

    network = load_part(AutoencoderKL, find_part(vae, "", "AutoencoderKL", STEM), torch.float32)
    network = network.to(device, memory_format=torch.channels_last)
    scale, images = float(network.config["scaling_factor"]), pictures.layers["image"]
    progress, means, stds = Progress("encode corpus", len(images)), list[Tensor](), list[Tensor]()
    for part in pieces(images, PIECE):
        x = (part.to(device).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        # bfloat16 is a hundredth of the code's own spread off, and nearly three times as fast.
        with autocast(device):
            posterior = network.encode(x).latent_dist
        means.append((scale * posterior.mean.float()).half().cpu().contiguous())
        stds.append((scale * posterior.std.float()).half().cpu().contiguous())
        progress.update(sum(map(len, means)))
    tensors = {"mean": torch.cat(means), "std": torch.cat(stds), "facts": pictures.facts}
    write_tensors(folder / TENSORS, tensors)
    told = {"pictures": pictures.identity, "meshes": list(pictures.meshes), "vae": vae.files}
    write_json(folder / RECORD, told)


def read_codes(folder: Path) -> Codes:
    """What `encode_corpus` wrote; InputError when it is not there."""
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds no codes ({RECORD} is missing); run the rule `encode_corpus`")
    told, tensors = read_json(folder / RECORD), load_file(folder / TENSORS)
    identity = fingerprint([told["pictures"], told["vae"]])
    pictures = Pictures({}, tensors["facts"], tuple(told["meshes"]), identity)
    return Codes(tensors["mean"], tensors["std"], pictures, dict(told["vae"]))
