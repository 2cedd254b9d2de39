"""Stable Diffusion and its depth ControlNet behind the predictor contract."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from tiny_models import CLIP_WIDTH, TOKENS, stable_scheduler, sums

from castex.diffusion import load_codec, load_depth_controlnet, load_stable_diffusion
from castex.errors import InputError, WeightsError
from castex.guidance import ClassifierFree, DistilledScore, LatentGuidance
from castex.protocols import Codec, Condition, NoisePredictor
from castex.schedule import scaled_linear
from castex.settings.models import ExecutionSettings

EXACT = ExecutionSettings(precision="float32")


@pytest.fixture(scope="module")
def stable(tiny_models):
    return load_stable_diffusion(tiny_models / "sd", EXACT)


@pytest.fixture(scope="module")
def controlled(tiny_models, stable):
    return load_depth_controlnet(tiny_models / "controlnet_depth", stable, EXACT)


@pytest.fixture
def asked(stream):
    """A noisy code, its texts and a depth picture."""
    code = torch.randn(2, 4, 16, 16, generator=stream)
    text = torch.randn(2, TOKENS, CLIP_WIDTH, generator=stream)
    return code, Condition(text=text, depth=torch.rand(2, 3, 128, 128, generator=stream))


def test_the_prediction_is_the_networks(stable, asked):
    code, condition = asked
    with torch.no_grad():
        theirs = stable.network.module(code, 77, encoder_hidden_states=condition.text).sample
        torch.testing.assert_close(stable(code, 77, condition), theirs)
    assert isinstance(stable, NoisePredictor) and isinstance(stable.codec, Codec)
    assert stable.schedule.alpha_bar.equal(scaled_linear().alpha_bar) and stable.codec.stride == 8


def test_a_velocity_becomes_noise_as_in_diffusers(tiny_models, own_model, asked):
    """DDIMScheduler.step with prediction_type v_prediction gives the x_0 that our eps_hat implies."""
    folder = own_model("sd")
    stable_scheduler("v_prediction").save_pretrained(folder / "scheduler")
    velocity = load_stable_diffusion(sums(folder), EXACT)
    code, condition = asked
    for timestep in (3, 500, 990):
        with torch.no_grad():
            v_hat = velocity.network.module(code, timestep, encoder_hidden_states=condition.text).sample
            eps_hat = velocity(code, timestep, condition)
        scheduler = stable_scheduler("v_prediction")
        scheduler.set_timesteps(1000)
        theirs = scheduler.step(v_hat, timestep, code).pred_original_sample
        ours = velocity.schedule.clean(code, eps_hat, timestep)
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-3)


def test_the_controlnet_follows_its_depth_picture_and_its_scale(controlled, stable, asked):
    code, condition = asked
    with torch.no_grad():
        plain = stable(code, 300, condition)
        off = controlled(code, 300, dataclasses.replace(condition, depth_scale=0.0))
        full = controlled(code, 300, condition)
        flat = controlled(code, 300, dataclasses.replace(condition, depth=torch.zeros(2, 3, 128, 128)))
    torch.testing.assert_close(off, plain)
    assert (full - plain).abs().max() > 1e-3 and (full - flat).abs().max() > 1e-3


def test_guided_controlnet_is_what_diffusers_pipeline_computes(
    controlled,
    tiny_models,
    asked,
    monkeypatch,
):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    control = ControlNetModel.from_pretrained(tiny_models / "controlnet_depth", low_cpu_mem_usage=False)
    pipeline = StableDiffusionControlNetPipeline(
        vae=controlled.codec._network, text_encoder=None, tokenizer=None, unet=controlled.base.network.module,
        controlnet=control, scheduler=stable_scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    code, condition = asked
    negative = torch.zeros(1, TOKENS, CLIP_WIDTH)
    seen = []
    step = pipeline.scheduler.step
    monkeypatch.setattr(
        pipeline.scheduler,
        "step",
        lambda eps, t, x, **k: (seen.append((eps, int(t), x)), step(eps, t, x, **k))[1],
    )
    pipeline(
        image=condition.depth, prompt_embeds=condition.text, negative_prompt_embeds=negative.repeat(2, 1, 1),
        latents=code, num_inference_steps=2, guidance_scale=5.0, controlnet_conditioning_scale=1.0,
        output_type="latent",
    )  # fmt: skip
    guided = ClassifierFree(controlled, 5.0, negative)
    for eps, timestep, x_t in seen:
        with torch.no_grad():
            torch.testing.assert_close(guided(x_t, timestep, condition), eps, atol=2e-4, rtol=1e-4)


def test_a_depth_picture_of_another_size_is_refused(controlled, asked):
    code, condition = asked
    with pytest.raises(InputError, match=r"depth picture of shape \(2, 3, 128, 128\), and has none"):
        controlled(code, 1, Condition(text=condition.text))
    with pytest.raises(InputError, match=r"and has one of shape \(2, 3, 64, 64\)"):
        controlled(code, 1, Condition(text=condition.text, depth=torch.zeros(2, 3, 64, 64)))


def test_a_controlnet_of_another_model_is_refused(own_model, stable):
    folder = own_model("controlnet_depth")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cross_attention_dim": 768}))
    with pytest.raises(WeightsError, match=r"cannot be loaded as a ControlNetModel"):
        load_depth_controlnet(sums(folder), stable, EXACT)


def test_the_codec_of_a_whole_pipeline_is_its_vae(tiny_models, stable, stream):
    image = torch.rand(1, 3, 32, 32, generator=stream)
    codec = load_codec(tiny_models / "sd")
    torch.testing.assert_close(codec.encode(image), stable.codec.encode(image))
    assert codec.identity == stable.codec.identity
    assert set(codec.files) == {"vae/config.json", "vae/diffusion_pytorch_model.safetensors"}


def test_posterior_samples_scatter_around_the_mean_by_the_posteriors_width(stable, stream):
    image = torch.rand(1, 3, 32, 32, generator=stream)
    codec, network = stable.codec, stable.codec._network
    posterior = network.encode(2 * image - 1).latent_dist
    codes = torch.stack([codec.encode(image, stream) for _ in range(400)])
    scale = network.config["scaling_factor"]
    torch.testing.assert_close(codec.encode(image), scale * posterior.mean)
    assert ((codes.mean(0) - codec.encode(image)).abs() <= 5 * scale * posterior.std / 20).all()
    torch.testing.assert_close(codes.std(0), scale * posterior.std, rtol=0.2, atol=0)


@pytest.mark.parametrize("posterior", ["mean", "sample"])
def test_pixels_get_a_gradient_through_the_autoencoder(stable, stream, posterior):
    """Pixel in, VAE inside: what latent score distillation of a picture needs."""
    text = torch.randn(1, TOKENS, CLIP_WIDTH, generator=stream)

    class Prompted:
        def __call__(self, x_t, timestep, condition):
            return stable(x_t, timestep, Condition(text=text))

    score = DistilledScore(Prompted(), stable.schedule, 20, 980)
    image = torch.rand(1, 3, 64, 64, generator=stream)
    guidance = LatentGuidance(score, stable.codec, posterior=posterior)
    gradients = [
        guidance.gradient(image, None, progress=0.0, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert gradients[0].shape == image.shape and torch.isfinite(gradients[0]).all()
    assert torch.equal(gradients[0], gradients[1]) and not torch.equal(gradients[0], gradients[2])
