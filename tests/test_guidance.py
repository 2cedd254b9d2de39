"""The equations of Figure 2: sampled score distillation on a point mass is plain descent."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.analytic import PointMassPredictor
from castex.guidance import DistilledScore, LatentGuidance, PixelGuidance
from castex.protocols import Codec, Guidance, NoisePredictor
from castex.schedule import scaled_linear, squared_cosine

SCHEDULES = {"squared_cosine": squared_cosine(), "scaled_linear": scaled_linear()}


def point_mass(target, name="squared_cosine"):
    schedule = SCHEDULES[name]
    return DistilledScore(PointMassPredictor(target, schedule), schedule, 20, 980)


class LinearCodec:
    """enc(x) = A x with an orthonormal A from 3 x 16 x 16 pixels to 4 x 2 x 2 numbers; dec(z) = A^T z."""

    identity = "linear"

    def __init__(self, stream):
        basis = torch.linalg.qr(torch.randn(3 * 16 * 16, 16, generator=stream, dtype=torch.float64)).Q
        self.matrix = basis.T.float()

    def encode(self, image):
        return (image.flatten(1) @ self.matrix.T).reshape(-1, 4, 2, 2)

    def decode(self, code):
        return (code.flatten(1) @ self.matrix).reshape(-1, 3, 16, 16)


@given(timestep=st.integers(0, 999), seed=st.integers(0, 2**31), name=st.sampled_from(sorted(SCHEDULES)))
@settings(max_examples=60, deadline=None)
def test_sampled_gradient_is_the_mean_square_gradient_for_any_timestep_and_noise(timestep, seed, name):
    """x - x0_hat = x - x*: half the gradient of ||x - x*||^2 (Eqs. 4, 5), up to rounding / signal."""
    stream = torch.Generator().manual_seed(seed)
    target, x, eps = (2 * torch.rand(3, 1, 3, 8, 8, generator=stream) - 1).unbind()
    eps = torch.randn(x.shape, generator=stream)
    score = point_mass(target, name)
    gradient = x - score.predicted_clean(x, timestep, eps)
    leaf = x.clone().requires_grad_()
    (leaf - target).square().sum().backward()
    signal, _ = SCHEDULES[name].coefficients(timestep)
    # Rounding of x_t is relative to its size, which noise raises to about 4.
    assert (gradient - leaf.grad / 2).abs().max() <= 1e-6 / signal


def test_point_mass_predictor_recovers_the_noise_at_the_target(stream):
    """Eq. 3: for x_t made from x* itself the predicted noise is the drawn noise."""
    target, eps = torch.rand(1, 3, 8, 8, generator=stream), torch.randn(1, 3, 8, 8, generator=stream)
    schedule = SCHEDULES["squared_cosine"]
    for timestep in (20, 500, 979):
        signal, noise = schedule.coefficients(timestep)
        predicted = PointMassPredictor(target, schedule)(signal * target + noise * eps, timestep)
        torch.testing.assert_close(predicted, eps, atol=1e-4, rtol=0)


def test_pixel_guidance_includes_the_range_change(stream):
    """Images are in [0, 1], the predictor in [-1, 1]: d/d image of 0.5 ||(2 image - 1) - x*||^2."""
    target, image = torch.rand(2, 1, 3, 8, 8, generator=stream).unbind()
    gradient = PixelGuidance(point_mass(2 * target - 1)).gradient(image, None, progress=0.0, generator=stream)
    torch.testing.assert_close(gradient, 4 * (image - target), atol=3e-4, rtol=0)


def test_latent_guidance_is_the_gradient_of_the_code_distance(stream):
    """d/d image of 0.5 ||enc(image) - enc(target)||^2 = A^T A (image - target) for a linear encoder."""
    codec = LinearCodec(stream)
    target, image = torch.rand(2, 1, 3, 16, 16, generator=stream).unbind()
    guidance = LatentGuidance(point_mass(codec.encode(target), "scaled_linear"), codec)
    gradient = guidance.gradient(image, None, progress=0.0, generator=stream)
    torch.testing.assert_close(gradient, codec.decode(codec.encode(image - target)), atol=1e-4, rtol=0)


def test_latent_gradient_never_sees_what_the_encoder_drops(stream):
    """The ill-posedness behind Figure 2: a change in the encoder's null space has gradient zero."""
    codec = LinearCodec(stream)
    target, change = torch.rand(2, 1, 3, 16, 16, generator=stream).unbind()
    hidden = change - codec.decode(codec.encode(change))
    guidance = LatentGuidance(point_mass(codec.encode(target), "scaled_linear"), codec)
    gradient = guidance.gradient(target + hidden, None, progress=0.0, generator=stream)
    assert hidden.abs().max() > 0.3
    assert gradient.abs().max() < 1e-4


def test_decoder_pull_adds_the_distance_to_the_decoded_picture(stream):
    codec = LinearCodec(stream)
    target, image = torch.rand(2, 1, 3, 16, 16, generator=stream).unbind()
    score = point_mass(codec.encode(target), "scaled_linear")

    def gradient(pull):
        noise = torch.Generator().manual_seed(5)
        return LatentGuidance(score, codec, pull).gradient(image, None, progress=0.0, generator=noise)

    pulled = gradient(0.25) - gradient(0.0)
    torch.testing.assert_close(pulled, 0.25 * (image - codec.decode(codec.encode(image))), atol=1e-5, rtol=0)


def test_timesteps_stay_in_the_window_and_fill_it(stream):
    seen = []

    def predictor(x_t, timestep):
        seen.append(timestep)
        return x_t

    schedule = SCHEDULES["squared_cosine"]
    score = DistilledScore(predictor, schedule, 20, 30)
    for _ in range(300):
        score.gradient(torch.zeros(1, 3, 2, 2), generator=stream)
    assert set(seen) == set(range(20, 30))


def test_doubles_and_guidances_meet_their_protocols(stream):
    score = point_mass(torch.zeros(1, 3, 8, 8))
    assert isinstance(score.predictor, NoisePredictor)
    assert isinstance(LinearCodec(stream), Codec)
    assert isinstance(PixelGuidance(score), Guidance)
    assert math.isclose(SCHEDULES["squared_cosine"].coefficients(0)[0], 1, abs_tol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 8), (3, 8, 8)])
def test_wrong_shapes_are_refused_under_test(shape):
    with pytest.raises(Exception, match=r"(?i)shape|dimension|type"):
        PixelGuidance(point_mass(torch.zeros(1, 3, 8, 8))).gradient(
            torch.zeros(shape), None, progress=0.0, generator=torch.Generator()
        )
