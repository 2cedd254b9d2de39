"""Pictures from prompts with each kind of model, and the verb that draws and judges them."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from castex import diffusion
from castex.cli import main
from castex.diffusion.deepfloyd import low_resolution
from castex.draw import Drawing, draw_base, draw_enlarged, draw_latent, draw_on_depth
from castex.guidance import ClassifierFree
from castex.prompt import UNCONDITIONAL, load_text_encoder, write_embeddings
from castex.protocols import Condition
from castex.sample import Sampler, timesteps
from castex.settings.models import EmbedSettings, ExecutionSettings, LowResolutionSettings
from castex.settings.samples import DrawnSettings, SampleSettings, SamplesSettings
from castex.weights import locate

EXACT = ExecutionSettings(precision="float32")
TEXTS = ["a red brick vase, front view", "a golden car", UNCONDITIONAL]
LOW = LowResolutionSettings(base_size=16, form="bilinear", level=250)
SETTINGS = SampleSettings(steps=3, batch=2, low_resolution=LOW, execution=EXACT)


def embedded(folder):
    return load_text_encoder(locate(folder), EmbedSettings()).embed([UNCONDITIONAL, *TEXTS[:2]])


@pytest.fixture(scope="module")
def drawing(tiny_models):
    return Drawing(TEXTS, embedded(tiny_models / "if_m"), SETTINGS)


@pytest.fixture(scope="module")
def base(tiny_models):
    return diffusion.load_base(tiny_models / "if_m", EXACT)


def test_a_picture_per_prompt(base, drawing):
    images = draw_base(base, drawing)
    assert images.shape == (3, 3, 32, 32)
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.01
    assert torch.equal(images, draw_base(base, drawing))


def test_a_picture_does_not_depend_on_its_batch(base, drawing):
    alone = Drawing(TEXTS[:1], drawing.embeddings, SETTINGS)
    torch.testing.assert_close(draw_base(base, alone)[0], draw_base(base, drawing)[0], atol=1e-4, rtol=0)


def test_without_a_prompt_the_scale_plays_no_part(base, drawing):
    other = Drawing(TEXTS, drawing.embeddings, SETTINGS.model_copy(update={"guidance_scale": 0.5}))
    ours, theirs = draw_base(base, drawing), draw_base(base, other)
    assert torch.equal(ours[2], theirs[2]) and not torch.equal(ours[0], theirs[0])


def test_the_upsampler_sees_the_base_picture(tiny_models, drawing):
    model = diffusion.load_upsampler(tiny_models / "if_ii", EXACT)
    small = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = draw_enlarged(model, drawing, small)
    assert images.shape == (3, 3, 64, 64)
    assert not torch.equal(images, draw_enlarged(model, drawing, small.flip(-1)))


def test_an_upsampler_starts_at_its_low_resolution_picture(tiny_models, drawing):
    model = diffusion.load_upsampler(tiny_models / "if_ii", EXACT)
    small = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    soon = Drawing(TEXTS, drawing.embeddings, SETTINGS.model_copy(update={"steps": 1, "enlarge_from": 5}))
    wanted = (low_resolution(small, 64, LOW) + 1) / 2
    # One step from timestep 0, where hardly any noise is: the picture itself comes back.
    assert (draw_enlarged(model, soon, small) - wanted).abs().mean() < 0.05
    assert (draw_enlarged(model, drawing, small) - wanted).abs().mean() > 0.1


def test_latent_pictures_are_decoded(tiny_models):
    model = diffusion.load_stable_diffusion(tiny_models / "sd", EXACT)
    control = diffusion.load_depth_controlnet(tiny_models / "controlnet_depth", model, EXACT)
    drawing = Drawing(TEXTS[:2], embedded(tiny_models / "sd"), SETTINGS)
    plain = draw_latent(model, drawing)
    side = model.network.size * model.codec.stride
    assert plain.shape == (2, 3, side, side)
    near = torch.zeros(1, 3, side, side)
    near[..., : side // 2, :] = 1
    assert not torch.equal(plain, draw_on_depth(control, drawing, near))


def test_agrees_with_the_pipeline_of_diffusers(tiny_models, base, drawing):
    """IFPipeline with DDIM in place of its own sampler, given the same noise and no bound on x0_hat."""
    from diffusers import DDIMScheduler, IFPipeline

    pipeline = IFPipeline.from_pretrained(
        tiny_models / "if_m", safety_checker=None, feature_extractor=None, watermarker=None,
        tokenizer=None, text_encoder=None, requires_safety_checker=False, local_files_only=True,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    ddim = {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False, "timestep_spacing": "leading"}
    pipeline.scheduler = DDIMScheduler(**ddim)
    pipeline.scheduler.register_to_config(variance_type="fixed_small")
    text = drawing.embeddings.of(TEXTS[:1])
    made = torch.Generator().manual_seed(11)
    theirs = pipeline(
        prompt_embeds=text, negative_prompt_embeds=drawing.embeddings.negative, num_inference_steps=4,
        guidance_scale=3.0, generator=made, output_type="pt", height=32, width=32,
    ).images  # fmt: skip
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(11))
    guided = ClassifierFree(base, 3.0, drawing.embeddings.negative)
    ours = Sampler(guided, base.schedule, timesteps(4))(noise, Condition(text=text))
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=2e-3)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="`base` is for an upsampler"):
        DrawnSettings(stage="upsampler")
    with pytest.raises(ValueError, match="`base` is for an upsampler"):
        DrawnSettings(stage="base", base="if_m")
    with pytest.raises(ValueError, match="names 'if_xl'"):
        SamplesSettings(
            prompts="samples", depth_of="vase", models={"if_ii": {"stage": "upsampler", "base": "if_xl"}}
        )


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A tiny random CLIP folder."""
    from transformers import CLIPImageProcessorPil

    from castex.settings.training import TrainClipSettings
    from castex.training.clip import MEAN, STD
    from castex.training.clip_start import new_clip
    from castex.training.words import grammar_words, tokenizer_of
    from castex.weights import write_sums

    folder = tmp_path_factory.mktemp("models") / "clip"
    tokenizer = tokenizer_of(grammar_words(["vase"]))
    shape = {"size": 32, "width": 16, "layers": 1, "text_width": 16, "text_layers": 1, "projection": 8}
    new_clip(TrainClipSettings(training={"steps": 1}, **shape), len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder)
    write_sums(folder, [path.name for path in folder.iterdir()])
    return folder


def told(folder, entry):
    """The files that the workflow gives to the verb."""
    sample = SETTINGS.model_dump(mode="json")
    (folder / "settings.json").write_text(json.dumps({"model": entry, "sample": sample}))
    (folder / "texts.json").write_text(json.dumps({"texts": TEXTS[:2], "views": False}))
    return ["--settings", str(folder / "settings.json"), "--texts", str(folder / "texts.json")]


def drawn(folder, name, model, judge, entry, *more):
    outputs = ["--pictures", str(folder / f"{name}.safetensors"), "--output", str(folder / f"{name}.json")]
    embeddings = ["--embeddings", str(folder / "embeddings.safetensors")]
    models = ["--name", name, "--model", str(model), "--judge", str(judge)]
    return main(["draw_samples", *models, *told(folder, entry), *embeddings, *outputs, *more])


def test_the_verb_draws_a_cascade_and_names_it(tiny_models, judge, tmp_path):
    write_embeddings(tmp_path / "embeddings.safetensors", embedded(tiny_models / "if_m"))
    entry = {"stage": "base", "unconditional": 2}
    assert drawn(tmp_path, "if_m", tiny_models / "if_m", judge, entry) == 0
    record = json.loads((tmp_path / "if_m.json").read_text())
    assert [one["text"] for one in record["pictures"]] == [*TEXTS[:2], "", ""]
    assert record["pictures"][0]["asked"] == {"material": "brick", "colour": "red"}
    assert record["pictures"][1]["asked"] == {"material": "golden", "colour": None}
    assert {row["variant"] for row in record["scores"]} == {"seen", "control"}
    assert record["size"] == 32 and record["sample"]["steps"] == 3
    small = load_file(tmp_path / "if_m.safetensors")["images"]
    assert small.shape == (4, 3, 32, 32) and small.dtype == torch.uint8

    upsampler = {"stage": "upsampler", "base": "if_m", "steps": 2}
    base = ["--base", str(tmp_path / "if_m.safetensors")]
    assert drawn(tmp_path, "if_ii", tiny_models / "if_ii", judge, upsampler, *base) == 0
    assert load_file(tmp_path / "if_ii.safetensors")["images"].shape == (2, 3, 64, 64)
    assert json.loads((tmp_path / "if_ii.json").read_text())["sample"]["steps"] == 2


@pytest.mark.parametrize(
    ("entry", "message"),
    [({"stage": "upsampler", "base": "if_m"}, "needs --base"), ({"stage": "depth"}, "needs --under")],
)
def test_what_a_model_lacks_is_one_sentence(tiny_models, judge, tmp_path, capsys, entry, message):
    write_embeddings(tmp_path / "embeddings.safetensors", embedded(tiny_models / "if_m"))
    assert drawn(tmp_path, "x", tiny_models / "if_ii", judge, entry) != 0
    assert message in capsys.readouterr().err


def test_the_mesh_of_a_controlnet_is_seen_whole(root):
    """Its depth picture fills the middle and leaves the border free."""
    from castex.cli.draw_samples import depth_picture
    from castex.prepare import prepare
    from castex.scene_file import load_scene

    mesh = prepare(load_scene(root / "data" / "mini" / "meshes" / "teapot.glb"), size=64, keep_uv=True).mesh
    depth = depth_picture(mesh, 64)
    assert depth.shape == (1, 3, 64, 64) and depth.max() == 1
    assert (depth[..., 16:48, 16:48] > 0).float().mean() > 0.5
    assert depth[..., 0, :].max() == depth[..., -1, :].max() == 0
