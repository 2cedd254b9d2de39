"""CPU and CUDA agree on the toy experiment (`make gpu-check`)."""

from __future__ import annotations

import pytest
import torch

from castex.diffusion import load_codec
from castex.picture import bundled_picture, square
from castex.reconstruct import reconstruct
from castex.settings import DipSettings, OptimiseSettings, ReconstructSettings

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _cuda():
    if not torch.cuda.is_available():
        pytest.fail("no CUDA device: `make gpu-check` is for machines that have one")


def ends(space, parameterisation, folder, root, steps):
    """theta of the same arm on both devices; all random draws are made on the CPU and moved."""
    target = square(bundled_picture("astronaut"), 64)
    made = {}
    for device in ("cpu", "cuda"):
        settings = ReconstructSettings(
            space=space,
            parameterisation=parameterisation,
            size=64,
            optimise=OptimiseSettings(steps=steps, learning_rate=0.01),
            dip=DipSettings(width=8, scales=3),
            device=device,
        )
        codec = load_codec(root / "data" / "mini" / "sd", device=device) if space == "latent" else None
        result = reconstruct(target, settings, codec, seed=0, checkpoints=folder / device)
        made[device] = result.theta.cpu()
    return made["cpu"], made["cuda"]


@pytest.mark.parametrize("space", ["pixel", "latent"])
@pytest.mark.parametrize("parameterisation", ["explicit", "dip"])
def test_both_devices_take_the_same_first_steps(space, parameterisation, tmp_path, root):
    """Adam divides by the gradient's size, so rounding grows with the steps: few steps, small tolerance."""
    on_cpu, on_cuda = ends(space, parameterisation, tmp_path, root, steps=3)
    torch.testing.assert_close(on_cpu, on_cuda, atol=5e-3, rtol=0)
    assert (on_cpu - on_cuda).abs().mean() < 1e-3
