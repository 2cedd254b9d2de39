"""The autoencoder of a latent diffusion model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from castex.diffusion.network import STEM, load_part
from castex.files import fingerprint
from castex.protocols import Image, Sample
from castex.weights import ModelFolder, find_part, locate

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

WEIGHTS_FILE = f"{STEM}.safetensors"


class LatentCodec:
    """An `AutoencoderKL` as a codec: codes times its scaling factor, images in [0, 1]."""

    def __init__(self, network: AutoencoderKL, files: dict[str, str] | None = None) -> None:
        self.files = files or {}
        self._network = network.eval().requires_grad_(False)
        self._scale = float(network.config["scaling_factor"])
        # Every level but the first halves the picture.
        self.stride = 2 ** (len(network.config["block_out_channels"]) - 1)
        self.channels = int(network.config["latent_channels"])

    def encode(self, image: Image, generator: torch.Generator | None = None) -> Sample:
        """Scaled code, differentiable in `image`; both sides must be multiples of `stride`.

        The posterior mean; with a generator a sample, its noise drawn on the CPU and moved.
        """
        posterior = self._network.encode(2 * image - 1).latent_dist
        mean: Sample = posterior.mean
        if generator is None:
            return mean * self._scale
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
        sample: Sample = mean + posterior.std * noise
        return sample * self._scale

    def decode(self, code: Sample) -> Image:
        """The decoded picture, clamped to [0, 1]."""
        decoded: Image = self._network.decode(code / self._scale).sample
        return ((decoded + 1) / 2).clamp(0, 1)

    @property
    def identity(self) -> str:
        """What distinguishes this codec from another: its files' hashes."""
        return fingerprint(self.files)

    @property
    def parameters(self) -> int:
        """Number of weights of encoder and decoder together."""
        return sum(p.numel() for p in self._network.parameters())


def load_codec(path: Path, *, device: str = "cpu") -> LatentCodec:
    """Load an autoencoder from a model folder or a lock file, after checking every byte.

    It lies in the folder itself, or in `vae/` of a whole Stable Diffusion. Only safetensors are read, in
    float32 (a half-precision file is widened): gradients pass through it. WeightsError, in one sentence,
    for a folder that is altered, incomplete, a pickle, or another kind of model.
    """
    return codec_of(locate(path), device=device)


def codec_of(folder: ModelFolder, *, device: str = "cpu") -> LatentCodec:
    """The autoencoder of a folder whose bytes were checked already."""
    from diffusers import AutoencoderKL

    subfolder = "vae" if "vae/config.json" in folder.files else ""
    part = find_part(folder, subfolder, "AutoencoderKL", STEM)
    network = load_part(AutoencoderKL, part, torch.float32)
    inside = f"{subfolder}/" if subfolder else ""
    files = {name: sha for name, sha in folder.files.items() if name.startswith(inside)}
    return LatentCodec(network.to(device), files)
