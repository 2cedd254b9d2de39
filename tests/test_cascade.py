"""What a stage's model is shown and told: spaces, prompts, the anchor of Figure 3, tiny models."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from surfaces import random_light, random_maps, sphere

from castex import diffusion
from castex.analytic import PointMassPredictor
from castex.cascade import (
    Anchor,
    KnownTexture,
    LatentSpace,
    PixelSpace,
    Prompt,
    TextGuidance,
    resized,
    stage_guidance,
)
from castex.distil import Distillation, window
from castex.errors import InputError
from castex.guidance import ClassifierFree
from castex.maps import grey_maps
from castex.prompt import Embeddings, texts_of
from castex.protocols import Condition, Guidance
from castex.render import MeshRenderer
from castex.rng import generator
from castex.schedule import squared_cosine
from castex.settings.models import LowResolutionSettings, PromptSettings
from castex.settings.shot import ShotSettings
from castex.settings.synthesis import (
    DistilSettings,
    ParameterSettings,
    StageSettings,
    UpsamplingSettings,
)
from castex.shot import sample_shot, view_words

SCHEDULE = squared_cosine()
PROMPT = "a red vase"


def embedded(width=6, texts=None):
    texts = texts or texts_of(PromptSettings(texts=[PROMPT]))
    stream = torch.Generator().manual_seed(9)
    values = torch.randn(len(texts), 77, width, generator=stream)
    return Embeddings(tuple(texts), values, torch.ones(len(texts), 77, dtype=torch.bool), "test")


@pytest.fixture(scope="module")
def render():
    return MeshRenderer(sphere(12, 12), random_light(torch.Generator().manual_seed(2)), 32)


@pytest.fixture
def shot(stream):
    return sample_shot(ShotSettings(views=2, distance_spread=0), generator=stream)


class Told:
    """A predictor that remembers its conditions."""

    def __init__(self):
        self.conditions = []

    def __call__(self, x_t, timestep, condition):
        self.conditions.append(condition)
        low = condition.low_resolution
        return 0.3 * x_t if low is None else 0.3 * x_t + low


class Plain:
    """An upsampler's conditioning, reduced to its picture."""

    def condition(self, condition, image, settings, *, generator):
        low = diffusion.deepfloyd.low_resolution(image, 16, settings)
        eps = torch.randn(low.shape, generator=generator)
        return dataclasses.replace(condition, low_resolution=low + 0.1 * eps, noise_level=settings.level)


def guidance(predictor, render=None, maps=None, words="corrected", **upsampling):
    distillation = Distillation(predictor, SCHEDULE, DistilSettings())
    anchor = None
    if render is not None:
        low = LowResolutionSettings(base_size=8)
        anchor = Anchor(Plain(), UpsamplingSettings(low_resolution=low, **upsampling), render, maps)
    return TextGuidance(distillation, PixelSpace(16), Prompt(PROMPT, embedded(), words), anchor)


def test_reduction_is_a_mean_with_antialiasing(stream):
    image = torch.rand(2, 3, 64, 64, generator=stream)
    small = resized(image, 16)
    assert small.shape == (2, 3, 16, 16)
    torch.testing.assert_close(small.mean(), image.mean(), atol=2e-3, rtol=0)
    assert small.std() < 0.5 * image.std(), "noise is averaged, not picked"
    assert resized(image, 64) is image
    checks = torch.ones(1, 3, 64, 64) * (torch.arange(64) % 2)
    assert resized(checks, 16)[..., 2:-2].std() < 1e-3


def test_renders_brighter_than_one_reach_the_model_as_they_are():
    encoded = PixelSpace(8).encode(torch.full((1, 3, 32, 32), 1.7), torch.Generator())
    torch.testing.assert_close(encoded, torch.full((1, 3, 8, 8), 2.4))


def test_the_gradient_is_that_of_the_loss_through_the_reduction(shot, stream):
    """0.5 w(t) sum ||x - x0_hat||^2 / B by automatic differentiation, for the same timestep and noise."""
    image, target = torch.rand(2, 3, 64, 64, generator=stream), torch.rand(2, 3, 16, 16, generator=stream)
    ours = guidance(PointMassPredictor(target, SCHEDULE))
    gradient = ours.gradient(image, shot, progress=0.3, generator=torch.Generator().manual_seed(4))
    settings, again = DistilSettings(), torch.Generator().manual_seed(4)
    timestep = int(torch.randint(*window(settings.window, 0.3), (), generator=again))
    signal, noise = SCHEDULE.coefficients(timestep)
    leaf = image.clone().requires_grad_()
    x = 2 * torch.nn.functional.interpolate(leaf, (16, 16), mode="bilinear", antialias=True) - 1
    (0.5 * signal * noise * (x - target.clamp(-1, 1)).square().sum() / 2).backward()
    torch.testing.assert_close(gradient, leaf.grad, atol=1e-5, rtol=1e-4)
    assert isinstance(ours, Guidance)


def test_each_view_is_told_its_side(shot):
    turned = dataclasses.replace(shot, light_rotation=torch.pi)
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for words in ("corrected", "faithful", "none"):
        told = Told()
        guidance(told, words=words).gradient(image, turned, progress=0.0, generator=torch.Generator())
        text = told.conditions[0].text
        if words == "none":
            assert torch.equal(text, embedded().of([PROMPT]))
        else:
            assert torch.equal(text, embedded().of_views(PROMPT, view_words(turned, words)))


def low_resolution(render, maps, current, shot, **settings):
    told = Told()
    stream = torch.Generator().manual_seed(8)
    with torch.no_grad():
        image = render(current, shot)
    gradient = guidance(told, render, maps, **settings).gradient(image, shot, progress=0.1, generator=stream)
    return told.conditions[0].low_resolution, gradient, stream.get_state()


SOURCES = ["anchored", "current", "downsampled-current"]


@pytest.mark.parametrize("background", ["corrected", "faithful"])
def test_anchored_at_step_zero_is_current(render, shot, stream, background):
    """The maps are still the frozen ones: condition and gradient agree to the bit on a shared background."""
    maps = random_maps(16, 16, stream)
    anchored = low_resolution(render, maps, maps, shot, source="anchored", background=background)
    current = low_resolution(render, maps, maps, shot, source="current", background=background)
    same = [torch.equal(a, b) for a, b in zip(anchored, current, strict=True)]
    assert same == ([True] * 3 if background == "corrected" else [False, False, True])


def test_the_arms_differ_once_the_maps_have_moved_and_draw_the_same_numbers(render, shot, stream):
    frozen, moved = random_maps(16, 16, stream), random_maps(16, 16, stream)
    results = {s: low_resolution(render, frozen, moved, shot, source=s) for s in SOURCES}
    pictures = [results[source][0] for source in SOURCES]
    assert all(not torch.equal(pictures[0], other) for other in pictures[1:])
    assert not torch.equal(pictures[1], pictures[2])
    assert all(torch.equal(results[source][2], results["anchored"][2]) for source in SOURCES)
    # Anchored: what the condition shows does not depend on the current maps.
    other = low_resolution(render, frozen, frozen, shot, source="anchored")[0]
    assert torch.equal(pictures[0], other)


def test_a_faithful_background_is_the_conditions_own(render, shot, stream):
    """Only the background of the condition changes: the object's pixels stay."""
    maps = random_maps(16, 16, stream)
    seen = [low_resolution(render, maps, maps, shot, background=b)[0] for b in ("corrected", "faithful")]
    corner, centre = (slice(None), slice(None), 0, 0), (slice(None), slice(None), 8, 8)
    assert (seen[0][corner] - seen[1][corner]).abs().max() > 0.01
    assert (seen[0] - seen[1])[centre].abs().max() < 1.0


def test_the_downsampled_condition_is_antialiased(render, shot, stream):
    """At the base model's size a picture of noise is calmer when it was averaged than when it was picked."""
    image = torch.rand(2, 3, 32, 32, generator=stream)
    maps = grey_maps(16)

    def spread(source):
        told = Told()
        guidance(told, render, maps, source=source).gradient(
            image, shot, progress=0.0, generator=torch.Generator()
        )
        return float(told.conditions[0].low_resolution.std())

    assert spread("downsampled-current") < 0.6 * spread("current")


def test_a_known_texture_is_found_again(render, shot, stream):
    """The point mass at the renders pulls each pixel towards the render of the known maps."""
    known, other = random_maps(16, 16, stream), grey_maps(16)
    for space in (PixelSpace(32), PixelSpace(16)):
        pull = KnownTexture(render, known, space, SCHEDULE, DistilSettings(form="x0", weight="constant"))
        with torch.no_grad():
            here, there = render(other, shot), render(known, shot)
        gradient = pull.gradient(here, shot, progress=0.9, generator=stream)
        assert (gradient * (here - there)).sum() > 0
        at_goal = pull.gradient(there, shot, progress=0.9, generator=stream)
        assert at_goal.abs().max() < 1e-3 * gradient.abs().max()


def stage(kind, **changes):
    form = "eps" if kind == "latent" else "x0-clamped"
    initial = "given" if kind == "upsampler" else "grey"
    low = UpsamplingSettings(low_resolution=LowResolutionSettings(base_size=8))
    return StageSettings(
        kind=kind,
        distil=DistilSettings(form=form),
        texture=ParameterSettings(initial=initial),
        upsampling=low,
        **changes,
    )


LOADERS = {
    "base": (diffusion.load_base, "if_m", 32),
    "upsampler": (diffusion.load_upsampler, "if_ii", 32),
    "latent": (diffusion.load_stable_diffusion, "sd", 24),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_networks_of_each_kind_give_gradients_that_follow_the_prompt(kind, tiny_models, render, shot, stream):
    load, name, width = LOADERS[kind]
    model, maps = load(tiny_models / name), random_maps(16, 16, stream)
    with torch.no_grad():
        image = render(maps, shot)
    gradients = []
    for words in ("none", "corrected"):
        ours = stage_guidance(
            model,
            stage(kind, view_words=words),
            PROMPT,
            embedded(width),
            render=render,
            start=maps,
            memory={},
        )
        gradients.append(ours.gradient(image, shot, progress=0.5, generator=generator(0, "a", "noise")))
        assert gradients[-1].shape == image.shape and torch.isfinite(gradients[-1]).all()
    assert not torch.equal(*gradients)


def test_a_network_treats_views_one_by_one(tiny_models, shot, stream):
    """A batch of n equals n batches of 1 for a network as well, given the same noise and prompts."""
    model = diffusion.load_base(tiny_models / "if_m")
    words = Prompt(PROMPT, embedded(32))
    guided = ClassifierFree(model, 15.0, words.embeddings.negative)
    source = Distillation(guided, model.schedule, DistilSettings())
    x, eps = torch.randn(2, 2, 3, 32, 32, generator=stream).unbind()
    together = source.weighted(x, 400, eps, Condition(text=words.of(shot)))
    for k in range(2):
        alone = source.weighted(x[k : k + 1], 400, eps[k : k + 1], Condition(text=words.of(shot.view(k))))
        torch.testing.assert_close(2 * together[k : k + 1], alone, atol=1e-3, rtol=1e-3)


def test_samples_of_the_posterior_draw_noise_and_means_do_not(tiny_models, stream):
    codec = diffusion.load_stable_diffusion(tiny_models / "sd").codec
    image = torch.rand(1, 3, 64, 64, generator=stream)
    for posterior, same in (("mean", True), ("sample", False)):
        space = LatentSpace(32, codec, posterior)
        codes = [space.encode(image, torch.Generator().manual_seed(k)) for k in (1, 2)]
        assert codes[0].shape == (1, 4, 4, 4) and torch.equal(*codes) == same


def test_stage_and_model_must_belong_together(tiny_models, render):
    model = diffusion.load_base(tiny_models / "if_m")
    maps = grey_maps(16)
    with pytest.raises(InputError, match="kind 'upsampler' cannot use a DeepFloydBase"):
        stage_guidance(model, stage("upsampler"), PROMPT, embedded(32), render=render, start=maps, memory={})
    with pytest.raises(InputError, match="6 numbers per token and the network reads 32"):
        stage_guidance(model, stage("base"), PROMPT, embedded(6), render=render, start=maps, memory={})
