"""A narrow network that starts with every n-th channel of a wide one, in place of random weights.

Of two networks of one class whose widths all have the same ratio, the narrow one takes evenly spaced
channels. A sum over fewer inputs is scaled up by the ratio. Where the ratio divides the channels of a group
(3 of 4, with groups of 4), groups, heads and concatenated skip connections stay aligned, and what comes out
is a rough copy of the wide network that a short training repairs.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from castex.errors import InputError

TIME = "time_embedding.linear_1.weight"
"""Its inputs are sines whose frequencies depend on their number: channels cannot be picked among them."""
TIMESTEPS, RIDGE = 1000, 1e-3


@torch.no_grad()
def narrow_(network: nn.Module, wide: nn.Module) -> None:
    """Give `network` evenly spaced channels of `wide`; InputError when it is no narrower copy of it."""
    source = wide.state_dict()
    for name, weight in network.state_dict().items():
        if name not in source or source[name].dim() != weight.dim():
            raise InputError(
                f"the start has no weight like {name}; a narrower network needs the same layers and "
                "attention as the one that it starts from"
            )
        if name == TIME and source[name].shape != weight.shape:
            weight.copy_(_of_sines(source[name], weight.shape))
        else:
            weight.copy_(_picked(name, source[name], weight.shape))


def _picked(name: str, source: Tensor, shape: torch.Size) -> Tensor:
    for dim, (wide, narrow) in enumerate(zip(source.shape, shape, strict=True)):
        if narrow > wide:
            raise InputError(f"the start is too narrow: {name} has {wide} channels where {narrow} are needed")
        if narrow < wide:
            places = torch.arange(narrow) * wide // narrow
            source = source.index_select(dim, places) * (wide / narrow if dim == 1 else 1)
    return source


def _of_sines(source: Float[Tensor, "out wide"], shape: torch.Size) -> Float[Tensor, "fewer narrow"]:
    """The weights on `shape[1]` sines that say of a timestep what `source` says, as nearly as may be."""
    from diffusers.models.embeddings import get_timestep_embedding

    t = torch.arange(TIMESTEPS)
    wide, narrow = (
        get_timestep_embedding(t, width, flip_sin_to_cos=True, downscale_freq_shift=0).double()
        for width in (source.shape[1], shape[1])
    )
    wanted = wide @ _picked(TIME, source, torch.Size((shape[0], source.shape[1]))).double().T
    # Slow sines are nearly alike: without the ridge their weights grow beyond half precision and cancel.
    ridge = RIDGE * TIMESTEPS * torch.eye(shape[1], dtype=torch.float64)
    found: Tensor = torch.linalg.solve(narrow.T @ narrow + ridge, narrow.T @ wanted)
    return found.T.to(source)
