"""DeepFloyd's two stages behind the predictor contract, compared with diffusers' own_model pipelines."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tiny_models import TEXT_WIDTH, TOKENS

from castex.diffusion import load_base, load_upsampler
from castex.diffusion.deepfloyd import low_resolution
from castex.errors import InputError
from castex.guidance import ClassifierFree, bounded
from castex.protocols import Condition, NoisePredictor
from castex.schedule import squared_cosine
from castex.settings.models import ExecutionSettings, LowResolutionSettings, ThresholdSettings

EXACT = ExecutionSettings(precision="float32")
CLIP = ThresholdSettings(kind="clip")


@pytest.fixture(scope="module")
def base(tiny_models):
    return load_base(tiny_models / "if_m", EXACT)


@pytest.fixture(scope="module")
def upsampler(tiny_models):
    return load_upsampler(tiny_models / "if_ii", EXACT)


@pytest.fixture
def text(stream):
    return torch.randn(2, TOKENS, TEXT_WIDTH, generator=stream)


@pytest.fixture
def negative(stream):
    return torch.randn(1, TOKENS, TEXT_WIDTH, generator=stream)


def spied(unet, monkeypatch):
    """Remember what a pipeline asks its network, and what that answers."""
    calls, forward = [], unet.forward

    def listening(sample, timestep, **kwargs):
        answer = forward(sample, timestep, **kwargs)
        calls.append({"sample": sample.clone(), "timestep": int(timestep), "answer": answer[0], **kwargs})
        return answer

    monkeypatch.setattr(unet, "forward", listening)
    return calls


def test_base_is_the_networks_first_three_channels(base, text, stream):
    x = torch.randn(2, 3, 32, 32, generator=stream)
    with torch.no_grad():
        theirs = base.network.module(x, 321, encoder_hidden_states=text).sample
        ours = base(x, 321, Condition(text=text))
    assert isinstance(base, NoisePredictor) and theirs.shape[1] == 6
    torch.testing.assert_close(ours, theirs[:, :3])
    assert base.schedule.alpha_bar.equal(squared_cosine().alpha_bar)
    assert base.threshold == ThresholdSettings(kind="dynamic", ratio=0.95, largest=1.5)


def test_one_text_serves_all_samples(base, text, stream):
    x = torch.randn(2, 3, 32, 32, generator=stream)
    with torch.no_grad():
        alone = base(x, 5, Condition(text=text[:1]))
        twice = base(x, 5, Condition(text=text[:1].repeat(2, 1, 1)))
    torch.testing.assert_close(alone, twice)


def test_guided_base_is_what_diffusers_pipeline_computes(
    base,
    tiny_models,
    text,
    negative,
    monkeypatch,
):
    from diffusers import IFPipeline

    pipeline = IFPipeline.from_pretrained(
        tiny_models / "if_m", text_encoder=None, tokenizer=None, safety_checker=None, watermarker=None,
        feature_extractor=None, requires_safety_checker=False, low_cpu_mem_usage=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    calls, steps = spied(pipeline.unet, monkeypatch), []
    real = pipeline.scheduler.step
    monkeypatch.setattr(
        pipeline.scheduler, "step", lambda eps, t, x, **k: (steps.append(eps), real(eps, t, x, **k))[1]
    )
    pipeline(
        prompt_embeds=text, negative_prompt_embeds=negative.repeat(2, 1, 1), guidance_scale=7.0,
        num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="pt",
    )  # fmt: skip
    guided = ClassifierFree(base, 7.0, negative)
    for call, theirs in zip(calls, steps, strict=True):
        with torch.no_grad():
            ours = guided(call["sample"][:2], call["timestep"], Condition(text=text))
        torch.testing.assert_close(ours, theirs[:, :3], atol=1e-4, rtol=1e-4)


def test_the_upsamplers_whole_input_is_that_of_diffusers_pipeline(
    upsampler,
    tiny_models,
    text,
    negative,
    stream,
    monkeypatch,
):
    """Same picture, same noise: the noised condition, the level, the timestep and the guided prediction."""
    from diffusers import IFSuperResolutionPipeline

    pipeline = IFSuperResolutionPipeline.from_pretrained(
        tiny_models / "if_ii", text_encoder=None, tokenizer=None, safety_checker=None, watermarker=None,
        feature_extractor=None, requires_safety_checker=False, low_cpu_mem_usage=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    calls = spied(pipeline.unet, monkeypatch)
    small = torch.rand(2, 3, 16, 16, generator=stream)
    pipeline(
        image=2 * small - 1, prompt_embeds=text, negative_prompt_embeds=negative.repeat(2, 1, 1),
        guidance_scale=4.0, noise_level=250, num_inference_steps=1, output_type="pt",
        generator=torch.Generator().manual_seed(9),
    )  # fmt: skip
    noise = torch.Generator().manual_seed(9)
    x_t = torch.randn(2, 3, 64, 64, generator=noise)
    settings = LowResolutionSettings(base_size=16, form="bilinear", level=250)
    condition = upsampler.condition(Condition(text=text), small, settings, generator=noise)
    sample = calls[0]["sample"]
    torch.testing.assert_close(sample, torch.cat([x_t, condition.low_resolution], dim=1).repeat(2, 1, 1, 1))
    assert calls[0]["class_labels"].tolist() == [250] * 4 and condition.noise_level == 250
    uncond, cond = calls[0]["answer"][:, :3].chunk(2)
    with torch.no_grad():
        ours = ClassifierFree(upsampler, 4.0, negative)(x_t, calls[0]["timestep"], condition)
    torch.testing.assert_close(ours, uncond + 4 * (cond - uncond), atol=1e-4, rtol=1e-4)


def test_the_papers_condition_repeats_every_nth_pixel(upsampler, stream):
    """Nearest down to the base size and up again, 2x - 1, noise of level 500 (paper, section 1.4)."""
    image = torch.rand(1, 3, 128, 128, generator=stream)
    settings = LowResolutionSettings(base_size=16)
    low = low_resolution(image, 64, settings)
    picked = 2 * image[:, :, ::8, ::8] - 1
    assert torch.equal(low, picked.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3))
    made = upsampler.condition(Condition(), image, settings, generator=torch.Generator().manual_seed(1))
    eps = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    alpha_bar = squared_cosine().alpha_bar[500]
    expected = (alpha_bar.sqrt() * low + (1 - alpha_bar).sqrt() * eps).float()
    torch.testing.assert_close(made.low_resolution, expected, atol=1e-6, rtol=0)
    assert made.noise_level == 500


def test_the_two_forms_differ_where_there_is_detail(stream):
    """A checkerboard of single pixels: nearest keeps one colour, antialiasing makes it grey."""
    board = (torch.arange(32)[:, None] + torch.arange(32)).remainder(2).float().expand(1, 3, 32, 32)
    nearest = low_resolution(board, 32, LowResolutionSettings(base_size=8))
    bilinear = low_resolution(board, 32, LowResolutionSettings(base_size=8, form="bilinear"))
    assert torch.equal(nearest, -torch.ones(1, 3, 32, 32))
    assert bilinear.abs().max() < 0.05


def test_the_centred_form_keeps_places(stream):
    """A ramp stays where it is; aligned corners stretch it from the middle, up to half a low pixel."""
    ramp = ((torch.arange(64) + 0.5) / 64).expand(1, 3, 64, 64)
    inner = slice(8, 56)
    centred, stretched = (
        (low_resolution(ramp, 64, LowResolutionSettings(base_size=16, form=form)) + 1) / 2
        for form in ("centred", "bilinear")
    )
    torch.testing.assert_close(centred[..., inner], ramp[..., inner], atol=1e-5, rtol=0)
    assert (stretched[..., inner] - ramp[..., inner]).abs().max() > 0.015


def test_the_level_reaches_the_network(upsampler, text, stream):
    x, low = torch.randn(2, 2, 3, 64, 64, generator=stream).unbind()
    with torch.no_grad():
        predictions = [
            upsampler(x, 100, Condition(text=text, low_resolution=low, noise_level=level))
            for level in (0, 500, 500)
        ]
    assert torch.equal(predictions[1], predictions[2])
    assert (predictions[0] - predictions[1]).abs().max() > 1e-4


@pytest.mark.parametrize("timestep", [0, 1, 500, 998, 999])
@pytest.mark.parametrize("stage", ["base", "upsampler"])
def test_both_ends_of_time_are_finite_and_clipped_predictions_stay_in_range(
    request, stage, timestep, text, stream
):
    predictor = request.getfixturevalue(stage)
    size = predictor.network.size
    x, eps = torch.rand(2, 2, 3, size, size, generator=stream).unbind()
    low = torch.zeros(2, 3, size, size)
    x_t = predictor.schedule.noised(x, eps, timestep)
    with torch.no_grad():
        eps_hat = predictor(x_t, timestep, Condition(text=text, low_resolution=low, noise_level=0))
    x0_hat = predictor.schedule.clean(x_t, eps_hat, timestep)
    assert eps_hat.shape == x.shape and torch.isfinite(eps_hat).all() and torch.isfinite(x0_hat).all()
    assert bounded(x0_hat, CLIP).abs().max() <= 1
    assert bounded(x0_hat, predictor.threshold).abs().max() <= 1 + 1e-6
    signal, noise = predictor.schedule.coefficients(timestep)
    # At the first timestep x_0 is all but known whatever the network says, at the last one it is not at all.
    if timestep == 0:
        assert (x0_hat - x).abs().max() <= 1.01 * noise / signal * (eps - eps_hat).abs().max()
        assert noise < 0.01
    if timestep == 999:
        assert signal < 1e-3


def test_what_is_missing_is_said(base, upsampler, text):
    x = torch.zeros(2, 3, 64, 64)
    with pytest.raises(InputError, match="needs a prompt"):
        base(torch.zeros(2, 3, 32, 32), 1)
    with pytest.raises(InputError, match="embed it with this model's text encoder"):
        base(torch.zeros(2, 3, 32, 32), 1, Condition(text=torch.zeros(2, TOKENS, 7)))
    with pytest.raises(InputError, match=r"for 3 samples"):
        base(torch.zeros(3, 3, 32, 32), 1, Condition(text=text))
    with pytest.raises(InputError, match="needs a low-resolution picture"):
        upsampler(x, 1, Condition(text=text))
    small = torch.zeros(2, 3, 16, 16)
    with pytest.raises(InputError, match=r"enlarge it to the size of the sample"):
        upsampler(x, 1, Condition(text=text, low_resolution=small, noise_level=1))
    with pytest.raises(InputError, match=r"a sample of 4 channels for a network of 3"):
        base(torch.zeros(2, 4, 32, 32), 1, Condition(text=text))


@pytest.mark.parametrize(("height", "width"), [(33, 33), (32, 31), (1, 32)])
def test_sides_that_cannot_be_halved_are_refused(base, text, height, width):
    with pytest.raises(InputError, match=f"a sample of {height} x {width} .* both sides multiples of 2"):
        base(torch.zeros(2, 3, height, width), 1, Condition(text=text))
    with torch.no_grad():
        assert base(torch.zeros(2, 3, 34, 38), 1, Condition(text=text)).shape == (2, 3, 34, 38)


@pytest.mark.parametrize(
    ("rows", "columns", "base_size", "message"),
    [
        (32, 128, 64, "base_size=64 for a picture whose shorter side is 32 pixels; choose at most 32"),
        (128, 128, 64, "base_size=64 for an upsampler of 64 pixels"),
        (128, 128, 128, "base_size=128 for an upsampler of 64 pixels"),
        (
            128,
            128,
            24,
            r"base_size=24 for an upsampler of 64 pixels; .* divisor of 64 \(16 for a factor of 4",
        ),
    ],
)
@pytest.mark.parametrize("form", ["nearest", "bilinear", "centred"])
def test_a_base_size_that_cannot_be_is_refused(rows, columns, base_size, message, form):
    settings = LowResolutionSettings(base_size=base_size, form=form)
    with pytest.raises(InputError, match=message):
        low_resolution(torch.zeros(1, 3, rows, columns), 64, settings)


def test_all_that_the_network_gets_lies_on_its_device(upsampler, text):
    """A sample on the CPU for a network elsewhere; `meta` stands for a GPU."""
    asked = {}

    def spy(sample, timestep, **more):
        asked.update(more, sample=sample, timestep=timestep)
        return (torch.zeros(2, 6, 64, 64, device="meta"),)

    network = dataclasses.replace(upsampler.network, module=spy, device=torch.device("meta"))
    elsewhere = dataclasses.replace(upsampler, network=network)
    x = torch.zeros(2, 3, 64, 64)
    elsewhere(x, 1, Condition(text=text, low_resolution=x, noise_level=1))
    tensors = {name: value.device.type for name, value in asked.items() if isinstance(value, torch.Tensor)}
    wanted = ("sample", "timestep", "encoder_hidden_states", "class_labels")
    assert tensors == dict.fromkeys(wanted, "meta")
