"""The equations of Figure 2: sampled score distillation on a point mass is plain descent."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.analytic import PointMassPredictor
from castex.errors import InputError
from castex.guidance import ClassifierFree, DistilledScore, LatentGuidance, PixelGuidance, bounded
from castex.protocols import Codec, Condition, Guidance, NoisePredictor
from castex.schedule import scaled_linear, squared_cosine
from castex.settings.models import ThresholdSettings

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

    def encode(self, image, generator=None):
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

    def predictor(x_t, timestep, condition):
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


class Told:
    """A predictor that repeats what its condition says, and remembers the sizes of its batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, x_t, timestep, condition):
        self.batches.append(len(x_t))
        told = condition.text.mean(dim=(1, 2)).view(-1, 1, 1, 1) * torch.ones_like(x_t)
        for picture in (condition.low_resolution, condition.depth):
            told = told + (0 if picture is None else picture.mean(dim=(1, 2, 3), keepdim=True))
        return told


TEXT, NEGATIVE = torch.tensor([2.0, 3.0]).view(2, 1, 1), torch.full((1, 1, 1), 0.5)


@pytest.mark.parametrize(
    ("scale", "expected", "batches"),
    [(0.0, [0.5, 0.5], [2]), (1.0, [2.0, 3.0], [2]), (7.0, [11.0, 18.0], [4]), (-7.5, [-10.75, -18.25], [4])],
)
def test_classifier_free_guidance_asks_once_and_only_for_what_counts(scale, expected, batches):
    """uncond + scale (cond - uncond): 0.5 + 7 (2 - 0.5) = 11."""
    told = Told()
    guided = ClassifierFree(told, scale, NEGATIVE)(torch.zeros(2, 3, 4, 4), 10, Condition(text=TEXT))
    assert guided.mean(dim=(1, 2, 3)).tolist() == expected and told.batches == batches


def test_scale_zero_is_the_unconditional_and_one_the_conditional_prediction():
    told, x = Told(), torch.zeros(2, 3, 4, 4)
    unconditional = told(x, 10, Condition(text=NEGATIVE))
    conditional = told(x, 10, Condition(text=TEXT))
    assert torch.equal(ClassifierFree(told, 0.0, NEGATIVE)(x, 10, Condition(text=TEXT)), unconditional)
    assert torch.equal(ClassifierFree(told, 1.0, NEGATIVE)(x, 10, Condition(text=TEXT)), conditional)


def test_both_halves_see_the_rest_of_the_condition():
    low, depth = torch.full((2, 3, 4, 4), 10.0), torch.full((2, 3, 8, 8), 100.0)
    condition = Condition(text=TEXT, low_resolution=low, noise_level=3, depth=depth)
    guided = ClassifierFree(Told(), 2.0, NEGATIVE)(torch.zeros(2, 3, 4, 4), 10, condition)
    assert guided[:, 0, 0, 0].tolist() == [113.5, 115.5]


def test_without_a_prompt_there_is_no_guidance():
    with pytest.raises(InputError, match="needs a prompt"):
        ClassifierFree(Told(), 2.0, NEGATIVE)(torch.zeros(2, 3, 4, 4), 10)


def test_a_point_mass_is_guided_to_itself(stream):
    """Closed-form scores ignore prompts: any scale gives the same prediction."""
    predictor = PointMassPredictor(torch.rand(1, 3, 4, 4, generator=stream), SCHEDULES["squared_cosine"])
    x = torch.randn(2, 3, 4, 4, generator=stream)
    guided = ClassifierFree(predictor, 15.0, NEGATIVE)(x, 400, Condition(text=TEXT))
    torch.testing.assert_close(guided, predictor(x, 400), atol=1e-4, rtol=0)


@pytest.mark.parametrize("largest", [1.0, 1.5])
def test_dynamic_thresholding_is_that_of_diffusers(stream, largest):
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=largest)
    sizes = torch.tensor([0.3, 1.0, 3.0]).view(3, 1, 1, 1)
    x0_hat = torch.randn(3, 3, 8, 8, generator=stream) * sizes
    ours = bounded(x0_hat, ThresholdSettings(kind="dynamic", ratio=0.95, largest=largest))
    torch.testing.assert_close(ours, theirs._threshold_sample(x0_hat), atol=1e-6, rtol=0)
    assert ours.abs().max() <= 1


def test_dynamic_with_at_most_one_is_clipping(stream):
    x0_hat = 3 * torch.randn(2, 3, 8, 8, generator=stream)
    dynamic = bounded(x0_hat, ThresholdSettings(kind="dynamic", largest=1.0))
    assert torch.equal(dynamic, bounded(x0_hat, ThresholdSettings(kind="clip")))
    assert bounded(x0_hat, ThresholdSettings(kind="none")) is x0_hat


def test_the_papers_clip_bounds_the_pull(stream):
    """x - clip(x0_hat): a predictor that asks for a value of 5 pulls no further than to 1."""
    far = PointMassPredictor(torch.full((1, 3, 4, 4), 5.0), SCHEDULES["squared_cosine"])
    x = torch.zeros(1, 3, 4, 4)
    for kind, pull in (("none", -5.0), ("clip", -1.0)):
        score = DistilledScore(far, far.schedule, 20, 500, ThresholdSettings(kind=kind))
        torch.testing.assert_close(
            score.gradient(x, generator=stream), torch.full_like(x, pull), atol=1e-4, rtol=0
        )


def test_the_condition_reaches_the_predictor():
    told = Told()
    score = DistilledScore(told, SCHEDULES["squared_cosine"], 500, 501)
    gradients = [
        score.gradient(
            torch.zeros(2, 3, 4, 4),
            generator=torch.Generator().manual_seed(1),
            condition=Condition(text=factor * TEXT),
        )
        for factor in (1, 2)
    ]
    signal, noise = score.schedule.coefficients(500)
    moved = (gradients[1] - gradients[0]).mean(dim=(1, 2, 3))
    torch.testing.assert_close(moved, noise / signal * torch.tensor([2.0, 3.0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("negative", "text", "message"),
    [
        ((2, 5, 6), (4, 5, 6), "2 embedded texts for 4 samples"),
        ((1, 5, 6), (3, 5, 6), "3 embedded texts for 4 samples"),
        ((1, 7, 6), (4, 5, 6), "embed both with the same text encoder"),
        ((1, 5, 8), (4, 5, 6), "embed both with the same text encoder"),
    ],
)
def test_texts_that_do_not_fit_the_samples_are_refused(negative, text, message):
    guided = ClassifierFree(Told(), 2.0, torch.zeros(negative))
    with pytest.raises(InputError, match=message):
        guided(torch.zeros(4, 3, 4, 4), 10, Condition(text=torch.zeros(text)))
