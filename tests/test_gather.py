"""Texture lookups: levels, wrapping, exact transposes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.gather import Lookup, gathered, level_sizes, pyramid, scattered


def test_the_pyramid_halves_to_one_texel_or_nine_times(stream):
    assert level_sizes(8, 8) == [(8, 8), (4, 4), (2, 2), (1, 1)]
    assert level_sizes(12, 12) == [(12, 12), (6, 6), (3, 3)]
    assert len(level_sizes(4096, 4096)) == 10
    maps = torch.rand(8, 4, 2, generator=stream)
    levels = pyramid(maps)
    assert len(levels) == sum(h * w for h, w in level_sizes(8, 4))
    torch.testing.assert_close(levels[32 + 8 :].mean(0), maps.mean((0, 1)))


def test_texel_centres_at_level_zero_are_the_texels(stream):
    maps = torch.rand(4, 8, 3, generator=stream)
    v, u = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(8) + 0.5) / 8, indexing="ij")
    centres = torch.stack([u.flatten(), v.flatten()])
    found = Lookup(centres, torch.full((32,), 1e-3), 4, 8)(pyramid(maps))
    torch.testing.assert_close(found, maps.flatten(0, 1))
    shifted = Lookup(centres + torch.tensor([[3.0], [-7.0]]), torch.full((32,), 1e-3), 4, 8)(pyramid(maps))
    torch.testing.assert_close(shifted, found, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("footprint", "level"), [(1 / 16, 0), (2 / 16, 1), (4 / 16, 2), (100.0, 4), (0.0, 0)]
)
def test_footprints_choose_levels(footprint, level):
    ramp = torch.zeros(16, 16, 1)
    sizes = level_sizes(16, 16)
    levels = torch.cat([torch.full((h * w, 1), float(k)) for k, (h, w) in enumerate(sizes)])
    assert len(levels) == len(pyramid(ramp))
    found = Lookup(torch.tensor([[0.3], [0.6]]), torch.tensor([footprint]), 16, 16)(levels)
    assert found.item() == pytest.approx(level, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 70))
def test_weights_sum_to_one_and_the_gradient_is_the_transpose(seed, count):
    """<A x, y> = <x, A' y>, and a constant texture stays constant, for coordinates anywhere."""
    stream = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=stream, dtype=torch.float64)  # noqa: E731
    lookup = Lookup(20 * draw(2, count) - 10, draw(count) * 0.5, 8, 16)
    texels = draw(lookup.texels, 8).requires_grad_()
    torch.testing.assert_close(lookup.weights.sum(1), torch.ones(count, dtype=torch.float64))
    other = draw(count, 8)
    found = lookup(texels)
    (transposed,) = torch.autograd.grad(found, texels, other)
    torch.testing.assert_close((found * other).sum(), (texels * transposed).sum())
    assert lookup.rows.min() >= 0 and lookup.rows.max() < lookup.texels


def test_gradcheck_through_the_pyramid(stream):
    maps = torch.rand(4, 4, 2, generator=stream, dtype=torch.float64, requires_grad=True)
    uv = torch.rand(2, 9, generator=stream, dtype=torch.float64)
    lookup = Lookup(uv, torch.rand(9, generator=stream, dtype=torch.float64), 4, 4)
    assert torch.autograd.gradcheck(lambda x: lookup(pyramid(x)), (maps,))


def test_no_pixels_at_all():
    lookup = Lookup(torch.empty(2, 0), torch.empty(0), 8, 8)
    texels = torch.ones(lookup.texels, 8, requires_grad=True)
    lookup(texels).sum().backward()
    assert texels.grad.abs().sum() == 0


def test_what_cuda_does_is_the_same_product(stream):
    """The torch-only forms, run here on the CPU, against SciPy's."""
    lookup = Lookup(torch.rand(2, 300, generator=stream), torch.rand(300, generator=stream), 16, 32)
    texels = torch.rand(lookup.texels, 8, generator=stream, requires_grad=True)
    other = torch.rand(300, 8, generator=stream)
    found = lookup(texels)
    torch.testing.assert_close(gathered(texels.detach(), lookup), found.detach())
    (transposed,) = torch.autograd.grad(found, texels, other)
    torch.testing.assert_close(scattered(other, lookup), transposed)


def test_between_centres_the_lookup_is_bilinear():
    """A quarter of the way to the right, half of the way down, over a ramp in both directions."""
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    ramp = torch.stack([row, column], dim=-1)
    place = torch.tensor([[(3 + 0.5 + 0.25) / 8], [(5 + 0.5 + 0.5) / 8]])
    found = Lookup(place, torch.tensor([1e-3]), 8, 8)(pyramid(ramp))
    torch.testing.assert_close(found, torch.tensor([[5.5, 3.25]]))
