"""Shared fixtures: tiny models, tiny pictures, and the optional test data beside the checkout."""

from __future__ import annotations

import os

# Two OpenMP threads beside another test process are far slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sys
from pathlib import Path

import pytest
import torch
from tiny_models import own_model, tiny_models  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "figures"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def shared() -> Path:
    """The folder of real test data; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared test data are not beside this checkout")
    return SHARED


@pytest.fixture
def stream() -> torch.Generator:
    """A fresh seeded generator."""
    return torch.Generator().manual_seed(1234)


@pytest.fixture(scope="session")
def tiny_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a tiny warm-started AutoencoderKL, its checksums in place."""
    from castex.settings import AutoencoderSettings
    from castex.training.vae import new_autoencoder
    from castex.training.warm_start import warm_start_
    from castex.weights import write_sums

    folder = tmp_path_factory.mktemp("models") / "vae"
    torch.manual_seed(0)
    network = new_autoencoder(AutoencoderSettings(block_out_channels=(8, 8, 16, 24), norm_num_groups=2))
    warm_start_(network)
    network.register_to_config(scaling_factor=0.5)
    network.save_pretrained(folder)
    write_sums(folder, ["config.json", "diffusion_pytorch_model.safetensors"])
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--golden` draws the golden pictures anew."""
    parser.addoption("--golden", action="store_true", help="draw the golden pictures anew")
