"""Is the mini autoencoder better than the best linear code of the same size?

The control is the optimal linear code of 8 x 8 blocks (principal components), fitted to the autoencoder's
own training photographs with as many components as it has latent channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from castex.protocols import Codec, Image
from castex.score import psnr

BLOCK = 8
MARGIN_DB = 1.5


@dataclass(frozen=True, slots=True)
class BlockCode:
    """A linear code: `components` orthonormal directions about a mean block."""

    mean: Float[Tensor, " values"]
    basis: Float[Tensor, "components values"]

    def round_trip(self, image: Image) -> Image:
        """Encode and decode; both sides must be multiples of the block size."""
        return torch.cat([self._coded(picture[None]) for picture in image])

    def _coded(self, image: Image) -> Image:
        blocks = _blocks(image)
        coded = (blocks - self.mean) @ self.basis.T @ self.basis + self.mean
        return F.fold(coded.T[None], image.shape[2:], BLOCK, stride=BLOCK).clamp(0, 1)


def fit_block_code(pictures: list[Image], components: int) -> BlockCode:
    """The best linear code for these pictures in the mean square sense."""
    blocks = torch.cat([_blocks(picture) for picture in pictures]).double()
    mean = blocks.mean(0)
    basis = torch.linalg.svd(blocks - mean, full_matrices=False).Vh[:components]
    return BlockCode(mean.float(), basis.float())


def _blocks(image: Image) -> Float[Tensor, "blocks values"]:
    return F.unfold(image, BLOCK, stride=BLOCK)[0].T


def compare(codec: Codec, code: BlockCode, pictures: dict[str, Image]) -> dict[str, dict[str, float]]:
    """PSNR of the autoencoder and of the block code on each picture, and the difference, in dB."""
    scores: dict[str, dict[str, float]] = {}
    with torch.no_grad():
        for name, picture in pictures.items():
            ours = psnr(codec.decode(codec.encode(picture)), picture)
            linear = psnr(code.round_trip(picture), picture)
            scores[name] = {"autoencoder": ours, "block_code": linear, "margin": ours - linear}
    return scores
