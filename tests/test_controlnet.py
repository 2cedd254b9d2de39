"""The mini depth ControlNet: its start, training, resumption, and its folder in both kinds of loaders."""

from __future__ import annotations

import pytest
import torch
from latent_parts import CONTROLNET, SD, SIZE, stops_after, write_corpus

from castex.cli import main
from castex.diffusion import load_depth_controlnet, load_stable_diffusion
from castex.errors import InputError
from castex.protocols import Condition
from castex.training.controlnet import ControlnetRecipe, as_condition
from castex.training.corpus_data import read_corpus
from castex.training.latent import LatentRecipe
from castex.training.latent_codes import encode_corpus, read_codes
from castex.training.latent_file import load_latent
from castex.training.sitting import write_model
from castex.training.trainer import Trainer
from castex.weights import locate


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_vae):
    """A folder with corpus/, codes/ and an untrained sd/."""
    folder = tmp_path_factory.mktemp("controlnet")
    write_corpus(folder / "corpus")
    encode_corpus(read_corpus(folder / "corpus", "models"), locate(tiny_vae), folder / "codes")
    recipe = LatentRecipe(SD, read_codes(folder / "codes"))
    averages = Trainer(recipe, SD, data="x").averages
    write_model(folder / "sd", lambda path: recipe.export(averages, locate(tiny_vae), path))
    return folder


def recipe_of(home, settings=CONTROLNET, *, half="models"):
    depths = read_corpus(home / "corpus", half, layers=("depth",))
    return ControlnetRecipe(settings, read_codes(home / "codes"), depths, load_latent(home / "sd"))


def test_depth_pictures_become_three_equal_channels():
    shown = as_condition(torch.tensor([[[[0, 255], [51, 102]]]], dtype=torch.uint8), torch.device("cpu"))
    assert shown.shape == (1, 3, 2, 2)
    torch.testing.assert_close(shown[0, 2], torch.tensor([[0, 1], [0.2, 0.4]]))


def test_it_starts_by_changing_nothing(home):
    recipe = recipe_of(home)
    x, text = torch.randn(1, 4, 4, 4), torch.randn(1, 77, 16)
    down, middle = recipe.controlnet(
        x, torch.tensor([10]), text, controlnet_cond=torch.rand(1, 3, SIZE, SIZE), return_dict=False
    )
    assert all(bool((part == 0).all()) for part in (*down, middle))


def test_an_interrupted_training_ends_with_the_same_bytes(home, tmp_path):
    straight = Trainer(recipe_of(home), CONTROLNET, data="x")
    before = {k: v.clone() for k, v in straight.networks.state_dict().items()}
    assert straight.run(tmp_path / "a")
    first = Trainer(recipe_of(home), CONTROLNET, data="x")
    assert not first.run(tmp_path / "b", clock=stops_after(2))
    second = Trainer(recipe_of(home), CONTROLNET, data="x")
    assert second.resume(tmp_path / "b") and second.step == first.step < CONTROLNET.steps
    assert second.run(tmp_path / "b")
    for name, tensor in straight.averages.state_dict().items():
        assert torch.equal(tensor, second.averages.state_dict()[name]), name
    moved = [
        name for name, old in before.items() if not torch.equal(old, straight.networks.state_dict()[name])
    ]
    assert any("controlnet_cond_embedding" in name for name in moved)


def test_the_base_stays_as_it_is(home, tmp_path):
    recipe = recipe_of(home)
    before = {k: v.clone() for k, v in recipe._unet.state_dict().items()}
    assert Trainer(recipe, CONTROLNET, data="x").run(tmp_path / "a")
    for name, tensor in recipe._unet.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_loss_falls(home, tmp_path):
    settings = CONTROLNET.model_copy(update={"steps": 60, "learning_rate": 5e-3, "ema_decay": 0.9})
    recipe = recipe_of(home, settings)

    @torch.no_grad()
    def loss():
        return float(recipe.loss(0, 64, torch.Generator().manual_seed(0)))

    before = loss()
    assert Trainer(recipe, settings, data="x").run(tmp_path / "c")
    assert loss() < 0.9 * before


def test_depths_of_other_pictures_are_refused(home):
    with pytest.raises(InputError, match=r"made from another corpus; run the rule `encode_corpus` again"):
        recipe_of(home, half="both")


def test_the_verb_makes_a_folder_for_stock_and_own_loaders(home, tmp_path):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    settings, output = tmp_path / "s.json", tmp_path / "controlnet_depth"
    settings.write_text(CONTROLNET.model_dump_json(exclude={"minutes"}))
    command = ["train_controlnet", "--settings", settings, "--corpus", home / "corpus", "--sd", home / "sd"]
    command += ["--codes", home / "codes", "--checkpoints", tmp_path / "c", "--output", output]
    assert main([str(part) for part in command]) == 0
    assert set(locate(output).files) == {"config.json", "diffusion_pytorch_model.safetensors"}

    controlnet = ControlNetModel.from_pretrained(output, torch_dtype=torch.float32)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        home / "sd", controlnet=controlnet, safety_checker=None, torch_dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    depth = torch.rand(1, 3, SIZE, SIZE)
    stream = torch.Generator().manual_seed(0)
    out = pipeline("a red vase", image=depth, num_inference_steps=3, generator=stream, output_type="pt")
    assert out.images.shape == (1, 3, SIZE, SIZE)

    score = load_depth_controlnet(output, load_stable_diffusion(home / "sd"))
    x, text = torch.randn(1, 4, 4, 4), torch.randn(1, 77, 16)
    with torch.no_grad():
        guided = score(x, 500, Condition(text=text, depth=depth))
        flat = score(x, 500, Condition(text=text, depth=torch.zeros_like(depth)))
    assert guided.shape == x.shape and not torch.equal(guided, flat)
