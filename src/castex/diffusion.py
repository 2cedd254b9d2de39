"""Networks of the diffusers library behind the package's contracts. The only loader of diffusers models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from castex.errors import WeightsError
from castex.files import fingerprint
from castex.protocols import Image, Sample
from castex.weights import locate

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
SUSPECT = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}


class LatentCodec:
    """An `AutoencoderKL` as a codec: the posterior mean times its scaling factor, images in [0, 1]."""

    def __init__(self, network: AutoencoderKL, files: dict[str, str] | None = None) -> None:
        self.files = files or {}
        self._network = network.eval().requires_grad_(False)
        self._scale = float(network.config["scaling_factor"])
        # Every level but the first halves the picture.
        self.stride = 2 ** (len(network.config["block_out_channels"]) - 1)
        self.channels = int(network.config["latent_channels"])

    def encode(self, image: Image) -> Sample:
        """Scaled posterior mean, differentiable in `image`; both sides must be multiples of `stride`."""
        mean: Sample = self._network.encode(2 * image - 1).latent_dist.mean
        return mean * self._scale

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

    Only safetensors are read, in float32 (a half-precision file is widened). WeightsError, in one
    sentence, for a folder that is altered, incomplete, a pickle, or another kind of model.
    """
    from diffusers import AutoencoderKL

    folder = locate(path)
    config = folder.path / "config.json"
    if WEIGHTS_FILE not in folder.files or "config.json" not in folder.files:
        raise WeightsError(
            f"{folder.path} must hold and list config.json and {WEIGHTS_FILE}; "
            "weights in another format (pickles above all) are not read"
        )
    # A shard index or a second weights file would be loaded without having been checked.
    loose = [
        path.name
        for path in folder.path.iterdir()
        if path.name not in folder.files and (path.suffix in SUSPECT or path.name.endswith(".index.json"))
    ]
    if loose:
        raise WeightsError(f"{folder.path / loose[0]} is not listed in the folder's checksums; remove it")
    kind = json.loads(config.read_text(encoding="utf-8")).get("_class_name")
    if kind != "AutoencoderKL":
        raise WeightsError(f"{config} describes a {kind}; an AutoencoderKL is needed")
    try:
        network = AutoencoderKL.from_pretrained(
            folder.path, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise WeightsError(f"{folder.path} cannot be loaded as an AutoencoderKL: {first}") from error
    return LatentCodec(network.to(device), folder.files)
