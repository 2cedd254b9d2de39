"""The mini Stable Diffusion: codes, training, resumption, the folder in stock pipelines and in our loader."""

from __future__ import annotations

import json

import pytest
import torch
from latent_parts import SD, SIZE, stops_after, write_corpus
from pydantic import ValidationError

from castex.cli import main
from castex.diffusion import load_stable_diffusion
from castex.errors import InputError
from castex.protocols import Condition
from castex.settings.training import LatentShape
from castex.training.captions import Facts
from castex.training.corpus_data import read_corpus
from castex.training.latent import LatentRecipe, answers
from castex.training.latent_codes import encode_corpus, read_codes
from castex.training.latent_file import load_latent
from castex.training.latent_networks import ClipText, new_latent_unet
from castex.training.sitting import write_model
from castex.training.trainer import Trainer
from castex.weights import locate


@pytest.fixture(scope="module")
def codes(tmp_path_factory, tiny_vae):
    """The codes of a made-up corpus."""
    folder = tmp_path_factory.mktemp("codes")
    pictures = read_corpus(write_corpus(folder / "corpus"), "models")
    encode_corpus(pictures, locate(tiny_vae), folder / "codes")
    return read_codes(folder / "codes")


@pytest.fixture(scope="module")
def sd(tmp_path_factory, tiny_vae, codes):
    """An untrained model folder."""
    folder = tmp_path_factory.mktemp("models") / "sd"
    recipe = LatentRecipe(SD, codes)
    trainer = Trainer(recipe, SD, data="x")
    write_model(folder, lambda path: recipe.export(trainer.averages, locate(tiny_vae), path))
    return folder


def test_codes_are_the_scaled_posteriors_of_the_pictures(codes, tmp_path, tiny_vae):
    from castex.diffusion import load_codec

    pictures = read_corpus(write_corpus(tmp_path), "models")
    assert torch.equal(codes.pictures.facts, pictures.facts)
    with torch.no_grad():
        exact = load_codec(tiny_vae).encode(pictures.layers["image"].float() / 255)
    # bfloat16 keeps three digits.
    torch.testing.assert_close(codes.mean.float(), exact, atol=0.05, rtol=0.02)
    stream = torch.Generator().manual_seed(0)
    drawn = codes.sample(torch.zeros(4000, dtype=torch.long), stream)
    assert (drawn.mean(0) - codes.mean[0]).abs().max() < 0.1 * codes.std[0].max()
    torch.testing.assert_close(drawn.std(0), codes.std[0].float(), rtol=0.1, atol=1e-5)


def test_missing_codes_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"holds no codes .* run the rule `encode_corpus`"):
        read_codes(tmp_path)


def test_answers_are_what_a_caption_says():
    facts = Facts("vase", "striped", "red", "top view")
    said = answers(["a red striped vase, top view", "a vase", "", "a striped object"], [facts] * 4)
    assert said.tolist()[1] == said.tolist()[2] == [8, 12, 5], "one more than the last answer: not said"
    assert said.tolist()[0] == [0, 1, 3]
    assert said.tolist()[3] == [8, 1, 5]


def test_equal_sentences_have_equal_states(codes):
    recipe = LatentRecipe(SD, codes)
    text = ClipText(recipe._text.tokenizer)
    states = text(recipe.text_encoder, ["a red vase", "", "a red vase"])
    assert states.shape == (3, 77, 16)
    assert torch.equal(states[0], states[2]) and not torch.equal(states[0], states[1])


def test_an_interrupted_training_ends_with_the_same_bytes(codes, tmp_path):
    straight = Trainer(LatentRecipe(SD, codes), SD, data="x")
    assert straight.run(tmp_path / "a")
    first = Trainer(LatentRecipe(SD, codes), SD, data="x")
    assert not first.run(tmp_path / "b", clock=stops_after(2))
    second = Trainer(LatentRecipe(SD, codes), SD, data="x")
    assert second.resume(tmp_path / "b") and second.step == first.step < SD.steps
    assert second.run(tmp_path / "b")
    for name, tensor in straight.averages.state_dict().items():
        assert torch.equal(tensor, second.averages.state_dict()[name]), name


def test_the_loss_falls(codes, tmp_path):
    settings = SD.model_copy(update={"steps": 40, "learning_rate": 3e-3})
    trainer = Trainer(LatentRecipe(settings, codes), settings, data="x")
    assert trainer.run(tmp_path / "c")
    assert sum(trainer.losses[-10:]) < 0.8 * sum(trainer.losses[:10])


def test_the_seed_does_not_leak_into_the_global_generator(codes):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    LatentRecipe(SD, codes)
    assert torch.equal(torch.rand(1), expected)


def test_a_stock_pipeline_runs_the_folder(sd):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        sd, safety_checker=None, torch_dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    stream = torch.Generator().manual_seed(0)
    out = pipeline("a red vase", num_inference_steps=3, generator=stream, output_type="pt")
    assert out.images.shape == (1, 3, SIZE, SIZE) and out.images.isfinite().all()


def test_our_loader_gives_what_the_network_predicts(sd):
    unet, encoder, tokenizer = load_latent(sd)
    score = load_stable_diffusion(sd)
    x, states = torch.randn(2, 4, 4, 4), ClipText(tokenizer)(encoder, ["a red vase", ""])
    with torch.no_grad():
        expected = unet(x, torch.tensor([300, 300]), states).sample
        found = score(x, 300, Condition(text=states))
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=2e-2)
    assert abs(float(score.schedule.alpha_bar[0]) - (1 - 0.00085)) < 1e-6


def test_training_and_loading_share_a_tokenizer(sd, codes):
    """Words of the grammar are one token each, and what was saved says the same."""
    _, _, tokenizer = load_latent(sd)
    mine = LatentRecipe(SD, codes)._text.tokenizer
    for sentence in ("a red striped vase, front view", "a golden thing from Mars"):
        assert tokenizer(sentence).input_ids == mine(sentence).input_ids
    assert len(tokenizer("a red striped vase").input_ids) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": (True,)}, "2 resolutions have channels and 1 say"),
        ({"channels": (16, 18)}, "18 channels cannot be split into groups=8 and heads=2"),
        ({"size": 5}, "a code of size=5 cannot be halved 1 times"),
    ],
)
def test_wrong_shapes_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        LatentShape.model_validate(LatentShape(groups=8).model_dump() | change)


def test_the_network_stays_within_its_budget():
    network = new_latent_unet(LatentShape(), seed=0)
    assert sum(p.numel() for p in network.parameters()) < 1.105e6
    assert network.config["cross_attention_dim"] == 64


def test_the_verbs_make_a_model_folder(tmp_path, tiny_vae, capsys):
    settings, corpus = tmp_path / "s.json", write_corpus(tmp_path / "corpus")
    settings.write_text(SD.model_dump_json(exclude={"minutes"}))
    encode = ["encode_corpus", "--corpus", str(corpus), "--vae", str(tiny_vae)]
    assert main([*encode, "--output", str(tmp_path / "codes")]) == 0
    assert "4 codes" in capsys.readouterr().out
    command = ["train_sd", "--settings", str(settings), "--vae", str(tiny_vae)]
    command += ["--codes", str(tmp_path / "codes"), "--checkpoints", str(tmp_path / "c")]
    command += ["--output", str(tmp_path / "sd")]
    assert main(command) == 0
    training = json.loads((tmp_path / "sd" / "training.json").read_text())
    assert training["steps"] == SD.steps and set(training["parameters"]) == {"unet", "text_encoder", "probes"}
    files = locate(tmp_path / "sd").files
    assert {"unet/config.json", "vae/config.json", "tokenizer/tokenizer.json"} <= set(files)

    record = tmp_path / "codes" / "codes.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"vae": {"config.json": "other"}}))
    assert main(command) == 2
    assert "run `encode_corpus` again" in capsys.readouterr().err


def test_training_and_embedding_give_the_same_states(sd):
    """What the cross-attention learned on is what the rule `embed` computes from the exported folder."""
    from castex.prompt import load_text_encoder
    from castex.settings.models import EmbedSettings

    sentences = ["a red striped vase, front view", ""]
    _, encoder, tokenizer = load_latent(sd)
    known = load_text_encoder(locate(sd), EmbedSettings()).embed(sentences)
    with torch.no_grad():
        states = ClipText(tokenizer)(encoder, sentences)
    torch.testing.assert_close(known.of(sentences), states, atol=1e-4, rtol=1e-4)
