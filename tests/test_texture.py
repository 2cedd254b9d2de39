"""Parameterisations of a flat image."""

from __future__ import annotations

import pytest
import torch

from castex.protocols import Texture
from castex.texture import ExplicitImage, NeuralImage, SkipNetwork


def neural(size=32, width=4, scales=3, seed=0):
    stream = torch.Generator().manual_seed(seed)
    return NeuralImage(SkipNetwork(width, scales, generator=stream), size, generator=stream)


@pytest.mark.parametrize("outputs,parameters", [(3, 2_965_507), (9, 2_966_281)])
def test_skip_network_has_the_counted_parameters(stream, outputs, parameters):
    network = SkipNetwork(128, 5, outputs=outputs, generator=stream)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_textures_meet_their_protocol():
    assert isinstance(ExplicitImage(torch.zeros(1, 3, 4, 4)), Texture)
    assert isinstance(neural(), Texture)


def test_explicit_projection_changes_the_parameters():
    texture = ExplicitImage(torch.tensor([-1.0, 0.25, 2.0]).expand(1, 3, 2, 3).contiguous())
    texture.project_()
    assert texture.maps()[0, 0, 0].tolist() == [0, 0.25, 1]


def test_explicit_start_is_copied():
    start = torch.zeros(1, 3, 2, 2)
    texture = ExplicitImage(start)
    with torch.no_grad():
        texture.pixels.add_(1)
    assert start.sum() == 0


@pytest.mark.parametrize("size", [32, 36, 33, 47])
def test_any_size_comes_out_as_it_went_in(size):
    image = neural(size).maps()
    assert image.shape == (1, 3, size, size)
    assert image.min() > 0 and image.max() < 1


def test_noise_is_standardised_per_channel_and_fixed():
    texture = neural()
    torch.testing.assert_close(texture.noise.mean((2, 3)), torch.zeros(1, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(texture.noise.std((2, 3)), torch.ones(1, 3), atol=1e-5, rtol=0)
    assert "noise" in texture.state_dict() and not texture.noise.requires_grad


def test_start_depends_on_the_seed_alone():
    torch.manual_seed(1)
    one = neural(seed=3).maps()
    torch.manual_seed(2)
    assert torch.equal(one, neural(seed=3).maps())
    assert not torch.equal(one, neural(seed=4).maps())


def test_every_weight_receives_a_gradient():
    texture = neural()
    texture.maps().square().sum().backward()
    silent = [n for n, p in texture.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert silent == []
