"""The autoencoder of the latent mini models: continued, resumed, exported, refused."""

from __future__ import annotations

import pytest
import torch
from latent_parts import VAE, stops_after, write_corpus

from castex.cli import main
from castex.diffusion import load_codec
from castex.errors import WeightsError
from castex.training.corpus_data import read_corpus
from castex.training.latent_vae import LOG_VARIANCE, SdVaeRecipe
from castex.training.trainer import Trainer
from castex.weights import locate


@pytest.fixture
def trainer(tmp_path, tiny_vae):
    """A fresh training, made anew at every call."""
    pictures = read_corpus(write_corpus(tmp_path / "corpus"), "models")

    def make(settings=VAE):
        recipe = SdVaeRecipe(settings, locate(tiny_vae), pictures)
        return Trainer(recipe, settings, data=recipe.identity)

    return make


def test_training_begins_with_the_given_weights(trainer, tiny_vae):
    """Its codes and its pictures are the same; its variance, which nothing bound, begins small."""
    network = trainer().networks["vae"]
    x = torch.rand(1, 3, 32, 32)
    codec = load_codec(tiny_vae)
    with torch.no_grad():
        posterior = network.encode(2 * x - 1).latent_dist
        torch.testing.assert_close(posterior.mean * 0.5, codec.encode(x), atol=1e-4, rtol=0)
        decoded = (network.decode(posterior.mean).sample + 1) / 2
        torch.testing.assert_close(decoded.clamp(0, 1), codec.decode(codec.encode(x)), atol=1e-4, rtol=0)
    torch.testing.assert_close(posterior.logvar, torch.full_like(posterior.logvar, LOG_VARIANCE))


def test_an_interrupted_training_ends_with_the_same_bytes(trainer, tmp_path):
    straight = trainer()
    assert straight.run(tmp_path / "a")
    first = trainer()
    assert not first.run(tmp_path / "b", clock=stops_after(2))
    assert 0 < first.step < VAE.steps
    second = trainer()
    assert second.resume(tmp_path / "b") and second.step == first.step
    assert second.run(tmp_path / "b")
    for name, tensor in straight.averages.state_dict().items():
        assert torch.equal(tensor, second.averages.state_dict()[name]), name
    assert straight.losses == second.losses


def test_the_loss_falls(trainer, tmp_path):
    training = trainer(VAE.model_copy(update={"steps": 25, "learning_rate": 3e-3}))
    assert training.run(tmp_path / "c")
    assert sum(training.losses[-5:]) < 0.9 * sum(training.losses[:5])


def test_the_verb_writes_a_codec(tmp_path, tiny_vae, capsys):
    settings, output = tmp_path / "s.json", tmp_path / "sd_vae"
    settings.write_text(VAE.model_dump_json(exclude={"minutes"}))
    corpus = write_corpus(tmp_path / "corpus")
    paths = ["--settings", settings, "--corpus", corpus, "--vae", tiny_vae, "--checkpoints", tmp_path / "c"]
    command = ["train_sd_vae", *map(str, [*paths, "--output", output])]
    assert main([*command, "--minutes", "1e-9"]) == 2
    assert "ended at step 1 of 5; run the same command again" in capsys.readouterr().err
    assert not output.exists()
    assert main(command) == 0
    codec = load_codec(output)
    images = read_corpus(corpus, "models").layers["image"].float() / 255
    assert codec.encode(images).std() == pytest.approx(1, abs=0.2), "the factor makes codes of unit spread"


def test_another_kind_of_model_is_refused(tmp_path, tiny_vae):
    folder = tmp_path / "other"
    folder.mkdir()
    for path in tiny_vae.iterdir():
        text = path.read_bytes()
        (folder / path.name).write_bytes(text.replace(b"AutoencoderKL", b"AutoencoderXY"))
    with pytest.raises(WeightsError, match=r"altered or truncated"):
        locate(folder)
    from castex.weights import write_sums

    write_sums(folder, ["config.json", "diffusion_pytorch_model.safetensors"])
    pictures = read_corpus(write_corpus(tmp_path / "corpus"), "models")
    with pytest.raises(WeightsError, match="describes a AutoencoderXY; an AutoencoderKL is needed"):
        SdVaeRecipe(VAE, locate(folder), pictures)
