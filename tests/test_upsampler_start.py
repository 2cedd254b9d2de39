"""The linear start of stage II: untrained, it is the best linear combination of x_t and its condition."""

import pytest
import torch
import torch.nn.functional as F

from castex.errors import InputError
from castex.schedule import squared_cosine
from castex.settings.training import CascadeShape
from castex.training.networks import new_unet
from castex.training.upsampler_start import PICTURE, REST, gains, linear_start_

SHAPE = CascadeShape(channels=(32, 32), layers=(1, 1), attention=(False, True), head=16)
SCHEDULE = squared_cosine()


def answers(network, timestep, level):
    """The mean squared error of the predicted noise, on smooth pictures with a little unknown detail."""
    stream = torch.Generator().manual_seed(timestep + 7 * level)
    low = F.interpolate(2 * torch.rand(4, 3, 8, 8, generator=stream) - 1, (32, 32), mode="bilinear")
    x, eps, blur = (torch.randn(low.shape, generator=stream) for _ in range(3))
    x = low + REST**0.5 * x
    x_t, seen = SCHEDULE.noised(x, eps, timestep), SCHEDULE.noised(low, blur, level)
    states = torch.randn(4, 77, 64, generator=stream)
    t, label = torch.full((4,), timestep), torch.full((4,), level)
    with torch.no_grad():
        eps_hat = network(torch.cat([x_t, seen], 1), t, states, class_labels=label).sample[:, :3]
    of_noisy, of_seen = (float(gain[0]) for gain in gains(SCHEDULE, t, label))
    return eps, eps_hat, of_noisy * x_t - of_seen * seen


def test_before_any_step_it_is_the_linear_answer():
    fresh, begun = (new_unet(SHAPE, size=32, upsampler=True, seed=3).eval() for _ in range(2))
    linear_start_(begun, SCHEDULE)
    for timestep in (100, 400, 700, 950):
        for level in (0, 50, 300, 900):
            eps, eps_hat, linear = answers(begun, timestep, level)
            assert (eps_hat - linear).square().mean() < 0.01
            assert (answers(fresh, timestep, level)[1] - eps).square().mean() > 0.9, (
                "drawn anew it knows nothing"
            )


def test_after_one_step_everything_learns():
    """Zeros in front of the coarser levels are left at once; nothing is cut off for good."""
    network = new_unet(SHAPE, size=32, upsampler=True, seed=3)
    linear_start_(network, SCHEDULE)
    x, t = torch.randn(2, 6, 32, 32), torch.tensor([100, 600])
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        network(x, t, torch.randn(2, 77, 64), class_labels=t).sample[:, :3].square().mean().backward()
        optimiser.step()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max()]
    assert still == []


@pytest.mark.parametrize("level", [0, 250, 600])
def test_gains_are_those_of_the_normal_distribution(level):
    """Against the regression of eps on x_t and the condition, from their covariances."""
    for timestep in (100, 500, 900):
        (a, s), (b, r) = SCHEDULE.coefficients(timestep), SCHEDULE.coefficients(level)
        # x_t = a (low + rest) + s eps; the condition = b low + r noise.
        covariance = torch.tensor(
            [[a * a * (PICTURE + REST) + s * s, a * b * PICTURE], [a * b * PICTURE, b * b * PICTURE + r * r]]
        ).double()
        wanted = torch.linalg.solve(covariance, torch.tensor([s, 0.0]).double())
        of_noisy, of_seen = gains(SCHEDULE, torch.tensor([timestep]), torch.tensor([level]))
        torch.testing.assert_close(torch.cat([of_noisy, -of_seen]), wanted, rtol=1e-4, atol=1e-6)


def test_a_narrow_network_is_refused():
    shape = CascadeShape(channels=(16, 32), layers=(1, 1), attention=(False, True), head=16)
    with pytest.raises(InputError, match=r"6 groups of 4 channels at the finest level, but there are 8 of 2"):
        linear_start_(new_unet(shape, size=32, upsampler=True, seed=0), SCHEDULE)
