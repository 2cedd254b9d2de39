"""A narrower network starts as a rough copy of a wide one; small stage I learns from a large one."""

import pytest
import torch

from castex.errors import InputError, WeightsError
from castex.settings.training import CascadeShape
from castex.training import precision
from castex.training.cascade_file import half
from castex.training.narrow import narrow_
from castex.training.networks import new_unet
from castex.training.precision import autocast, fast_bfloat16

WIDE = CascadeShape(channels=(32, 64), layers=(1, 2), attention=(False, True), head=32)
NARROW = CascadeShape(channels=(24, 48), layers=(1, 2), attention=(False, True), head=24)


def unet(shape, seed=0):
    return new_unet(shape, size=16, upsampler=False, seed=seed).eval()


@torch.no_grad()
def answer(network, t, x, states):
    return network(x, t, states).sample


def test_a_copy_of_the_same_width_is_the_network_itself():
    wide, copy = unet(WIDE, seed=1), unet(WIDE, seed=2)
    narrow_(copy, wide)
    stream = torch.Generator().manual_seed(0)
    x, states = torch.randn(2, 3, 16, 16, generator=stream), torch.randn(2, 77, 64, generator=stream)
    assert torch.equal(answer(copy, 300, x, states), answer(wide, 300, x, states))


def test_the_embedding_of_timesteps_survives_with_fewer_sines():
    wide, narrow = unet(WIDE), unet(NARROW, seed=1)
    # As in trained networks, fast sines say little.
    wide.time_embedding.linear_1.weight.data *= (torch.arange(16) >= 4).repeat(2)
    places = torch.arange(96) * 128 // 96

    @torch.no_grad()
    def error():
        t = torch.arange(0, 1000, 7)
        told, kept = (n.time_embedding.linear_1(n.time_proj(t)) for n in (wide, narrow))
        return (kept - told[:, places]).square().mean() / told.square().mean()

    narrow_(narrow, wide)
    solved = error()
    columns = torch.arange(24) * 32 // 24
    narrow.time_embedding.linear_1.weight.data = wide.time_embedding.linear_1.weight.data[places][:, columns]
    assert solved < 0.3 * error() > 0.1, "better than picking sines like channels"


def test_the_start_fits_half_precision():
    """Slow sines are nearly alike, so that solving for their weights without a bound ends in millions."""
    wide, narrow = unet(WIDE), unet(NARROW, seed=1)
    narrow_(narrow, wide)
    assert max(p.abs().max() for p in narrow.parameters()) < 100
    assert all(bool(p.isfinite().all()) for p in half(narrow).parameters())


def test_weights_beyond_half_precision_are_not_written():
    network = unet(NARROW)
    network.conv_in.weight.data[0, 0, 0, 0] = 1e6
    with pytest.raises(WeightsError, match=r"conv_in\.weight has weights .* too large for half precision"):
        half(network)


def test_sums_keep_their_size_and_channels_their_place():
    wide, narrow = unet(WIDE), unet(NARROW, seed=1)
    narrow_(narrow, wide)
    places = torch.arange(24) * 4 // 3
    assert places[:6].tolist() == [0, 1, 2, 4, 5, 6]
    torch.testing.assert_close(narrow.conv_in.weight, wide.conv_in.weight[places])
    torch.testing.assert_close(narrow.conv_out.weight, wide.conv_out.weight[:, places] * 4 / 3)
    torch.testing.assert_close(narrow.conv_norm_out.weight, wide.conv_norm_out.weight[places])


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (CascadeShape(channels=(32, 72), layers=(1, 2), attention=(False, True), head=24), "too narrow"),
        (CascadeShape(channels=(32, 64), layers=(1, 3), attention=(False, True), head=32), "no weight like"),
    ],
)
def test_a_start_of_another_kind_is_refused(shape, reason):
    with pytest.raises(InputError, match=reason):
        narrow_(unet(shape), unet(WIDE))


def test_mixed_precision_is_for_devices_that_multiply_bfloat16(monkeypatch):
    assert fast_bfloat16("cuda") and isinstance(fast_bfloat16("cpu"), bool)
    x = torch.randn(4, 4)
    for fast in (True, False):
        monkeypatch.setattr(precision, "fast_bfloat16", lambda kind, fast=fast: fast)
        with autocast("cpu"):
            assert (x @ x).dtype == (torch.bfloat16 if fast else torch.float32)
        with autocast("cpu", wanted=False):
            assert (x @ x).dtype == torch.float32
