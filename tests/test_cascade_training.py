"""The mini cascade: text encoder, both stages, folders that stock pipelines load, exact resumption."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_corpus import MESHES

from castex.errors import WeightsError
from castex.files import write_json
from castex.schedule import squared_cosine
from castex.settings.shot import ShotSettings
from castex.settings.training import (
    CascadeShape,
    CorpusSettings,
    TrainBaseSettings,
    TrainingSettings,
    TrainUpsamplerSettings,
)
from castex.training import t5
from castex.training.base import BaseRecipe
from castex.training.cascade_file import load_text
from castex.training.corpus_data import read_corpus
from castex.training.corpus_run import CorpusJob, make_corpus
from castex.training.denoiser import Noising, with_empty
from castex.training.sitting import sit, write_model
from castex.training.t5 import MAX_TOKENS, WIDTH, TextInput, embedded, grammar_words
from castex.training.text import ANSWERS, TextRecipe, drawn_caption, probed
from castex.training.trainer import Trainer
from castex.training.upsampler import UpsamplerRecipe, conditions, levels
from castex.weights import read_sums, write_sums

CPU = torch.device("cpu")
STEPS = TrainingSettings(steps=4, batch=4, checkpoint_every=2)
BASE = TrainBaseSettings(
    size=16,
    shape=CascadeShape(channels=(8, 16), layers=(1, 1), attention=(False, True), head=8),
    training=STEPS,
)
UP = TrainUpsamplerSettings(
    base=16, size=32, crop=32, training=STEPS,
    shape=CascadeShape(channels=(8, 16), layers=(1, 1), attention=(False, True), head=8),
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cascade-corpus")
    settings = CorpusSettings(
        size=32, atlas=32, shots=1, lights=1, light_side=32, materials=["striped"], shot=ShotSettings(views=2)
    )
    make_corpus(CorpusJob(settings, (MESHES / "bowl.glb",), False, "cpu", folder))
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("t5") / "t5"
    settings = TrainingSettings(
        steps=150, batch=64, learning_rate=3e-3, ema_decay=0.98, mixed_precision=False
    )
    recipe = TextRecipe(settings)
    trainer = Trainer(recipe, settings, data="grammar")
    sit(trainer, folder.parent / "c", folder, lambda into: recipe.export(trainer.averages, into))
    return folder, trainer, recipe


def test_the_text_encoder_learns_what_captions_say(text):
    _, trainer, recipe = text
    stream = torch.Generator().manual_seed(99)
    sentences, targets = zip(*(drawn_caption(stream) for _ in range(200)), strict=True)
    reader = TextInput(recipe.tokenizer)
    with torch.no_grad():
        logits = probed(
            trainer.averages["text_encoder"], trainer.averages["probes"], reader, list(sentences), CPU
        )
    for k, (found, answers) in enumerate(zip(logits, ANSWERS, strict=True)):
        wanted = torch.tensor([t[k] for t in targets])
        right = (found.argmax(1) == wanted).float().mean()
        assert right > 0.9 > 1.5 / len(answers), f"probe {k}: {right}"


def test_a_caption_knows_what_it_says():
    stream = torch.Generator().manual_seed(1)
    for _ in range(100):
        sentence, targets = drawn_caption(stream)
        words = sentence.replace(",", "").split()
        for answers, target in zip(ANSWERS[:2], targets, strict=False):
            said = [a for a in answers if a in words]
            assert said == ([answers[target]] if target < len(answers) else [])


def test_the_tokenizer_keeps_words_whole_and_spells_the_rest(text):
    tokenizer, encoder = load_text(text[0])
    for word in grammar_words():
        assert len(tokenizer(word).input_ids) == 2, f"{word} is one token and the end"
    spelled = tokenizer("a cow in a suit").input_ids
    assert tokenizer.unk_token_id not in spelled and len(spelled) > 6
    states = embedded(encoder, TextInput(tokenizer), ["a red vase", "", "a red vase"], CPU)
    assert states.shape == (3, MAX_TOKENS, WIDTH)
    assert torch.equal(states[0], states[2]) and not torch.equal(states[0], states[1])
    assert next(encoder.parameters()).dtype == torch.float32


def test_a_full_memory_of_sentences_loses_none_of_the_batch(text, monkeypatch):
    """Made-up names fill it in the middle of a batch whose other sentences were known before."""
    monkeypatch.setattr(t5, "MOST_SENTENCES", 3)
    tokenizer, _ = load_text(text[0])
    reader, batch = TextInput(tokenizer), ["a red vase", "a car", "a bowl", "a lamp"]
    reader(["a red vase", "a blue vase"], CPU)
    ids, masks = reader(batch, CPU)
    plain_ids, plain_masks = TextInput(tokenizer)(batch, CPU)
    assert torch.equal(ids, plain_ids) and torch.equal(masks, plain_masks)
    assert torch.equal(reader(batch[::-1], CPU)[0], plain_ids.flip(0))


def trained(recipe, settings, corpus_identity, folder, **sitting):
    trainer = Trainer(recipe, settings.training, data=corpus_identity)
    return trainer, trainer.run(folder, **sitting)


@pytest.mark.parametrize("kind", ["base", "upsampler"])
def test_both_stages_resume_to_the_same_bytes(kind, corpus, text, tmp_path):
    from test_trainer import ticking

    settings, size = (BASE, 16) if kind == "base" else (UP, None)
    make = BaseRecipe if kind == "base" else UpsamplerRecipe
    pictures = read_corpus(corpus, "models", size=size)

    def fresh():
        return make("x", settings, pictures, load_text(text[0]))

    whole, done = trained(fresh(), settings, "d", tmp_path / "a")
    assert done and len(whole.losses) == 4 and all(loss > 0 for loss in whole.losses)
    cut, done = trained(fresh(), settings, "d", tmp_path / "b", clock=ticking(4))
    assert not done
    again = Trainer(fresh(), settings.training, data="d")
    assert again.resume(tmp_path / "b") and again.step == cut.step
    again.run(tmp_path / "b")
    assert again.losses == whole.losses
    ours, theirs = (t.averages["unet"].state_dict() for t in (whole, again))
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_base_folder_runs_in_the_stock_pipeline(corpus, text, tmp_path):
    from diffusers import IFPipeline

    pictures = read_corpus(corpus, "models", size=16)
    recipe = BaseRecipe("x", BASE, pictures, load_text(text[0]))
    trainer = Trainer(recipe, BASE.training, data="d")
    write_model(tmp_path / "if", lambda folder: recipe.export(trainer.averages, folder))
    weights = load_file(tmp_path / "if/unet/diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    pipeline = IFPipeline.from_pretrained(
        tmp_path / "if",
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        local_files_only=True,
        torch_dtype=torch.float32,
    )
    assert pipeline.scheduler.config.thresholding and pipeline.scheduler.config.sample_max_value == 1.5
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline("a red vase", num_inference_steps=2, output_type="pt", clean_caption=False).images
    assert found.shape == (1, 3, 16, 16) and torch.isfinite(found).all()
    assert weights["conv_out.weight"][3:].abs().max() == 0 < weights["conv_out.weight"][:3].abs().max()


def test_an_upsampler_folder_runs_in_the_stock_pipeline(corpus, text, tmp_path):
    from diffusers import IFSuperResolutionPipeline

    recipe = UpsamplerRecipe("x", UP, read_corpus(corpus, "models"), load_text(text[0]))
    trainer = Trainer(recipe, UP.training, data="d")
    write_model(tmp_path / "ii", lambda folder: recipe.export(trainer.averages, folder))
    pipeline = IFSuperResolutionPipeline.from_pretrained(
        tmp_path / "ii",
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        local_files_only=True,
        torch_dtype=torch.float32,
    )
    pipeline.set_progress_bar_config(disable=True)
    low = torch.rand(1, 3, 16, 16)
    found = pipeline("a vase", image=low, num_inference_steps=2, output_type="pt", clean_caption=False).images
    assert found.shape == (1, 3, 32, 32) and torch.isfinite(found).all()
    assert json.loads((tmp_path / "ii/unet/config.json").read_text())["class_embed_type"] == "timestep"


def test_conditions_are_the_two_of_the_loader():
    x = 2 * torch.rand(2, 3, 32, 32) - 1
    found = conditions(x, 8, torch.tensor([True, False]))
    # Every fourth pixel, repeated: sixteen equal pixels per block.
    blocks = x[0, :, ::4, ::4].repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert found[0].allclose(blocks, atol=1e-6)
    soft = torch.nn.functional.interpolate(x[1:], (8, 8), mode="bilinear", antialias=True)
    assert found[1, :, 0, 0].allclose(soft[0, :, 0, 0], atol=1e-6)
    assert found[1, :, -1, -1].allclose(soft[0, :, -1, -1], atol=1e-6)


def test_crops_of_picture_and_condition_agree(corpus, text):
    settings = UP.model_copy(update={"size": 32, "base": 8, "crop": 16})
    recipe = UpsamplerRecipe("x", settings, read_corpus(corpus, "models"), load_text(text[0]))
    x = torch.arange(32 * 32).float().view(1, 1, 32, 32).expand(3, 3, 32, 32)
    one, other = recipe._cropped(x, x + 0.5, torch.Generator().manual_seed(0))
    assert one.shape == (3, 3, 16, 16) and torch.equal(one + 0.5, other)
    corners = one[:, 0, 0, 0]
    assert (corners % 4 == 0).all() and len(corners.unique()) > 1


def test_the_loss_is_weighted_by_min_snr():
    noising = Noising(squared_cosine(), CPU)
    schedule = squared_cosine()
    for t in (5, 500, 950):
        signal, noise = schedule.coefficients(t)
        snr = signal**2 / noise**2
        assert float(noising.weight[t]) == pytest.approx(min(snr, 5) / snr, rel=1e-4)
    x, eps = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    t = torch.tensor([10, 900])
    noised = noising.noised(x, eps, t)
    assert noised[1].allclose(schedule.noised(x[1:], eps[1:], 900)[0], atol=1e-6)
    assert float(noising.loss(eps, eps, t)) == 0
    drawn = noising.timesteps(100, torch.Generator().manual_seed(0))
    assert drawn.min() < 10 and drawn.max() >= 990 and (drawn // 10).unique().numel() == 100


def test_beside_a_condition_signal_to_noise_ratios_add():
    """In terms of x0_hat an error counts min(SNR_t + SNR_level, 5); the weight of eps_hat is bounded."""
    noising, schedule = Noising(squared_cosine(), CPU), squared_cosine()

    def snr(t):
        signal, noise = schedule.coefficients(t)
        return signal**2 / noise**2

    for t, level in ((5, 5), (300, 990), (600, 50), (600, 500), (750, 990), (990, 50)):
        (weight,) = noising.weight_beside(torch.tensor([t]), torch.tensor([level])).tolist()
        assert weight == pytest.approx(min(min(snr(t) + snr(level), 5) / snr(t), 10), rel=1e-4)
    every = torch.arange(1000)
    nothing_known = noising.weight_beside(every, torch.full((1000,), 999))
    torch.testing.assert_close(nothing_known[:900], noising.weight[:900], rtol=0.01, atol=0)


def test_low_levels_of_noise_come_more_often():
    drawn = levels(4000, torch.Generator().manual_seed(0))
    assert drawn.min() >= 0 and 950 < drawn.max() < 1000
    assert 0.46 < (drawn < 250).float().mean() < 0.54


def test_important_timesteps_are_drawn_as_often_as_they_count():
    """The plain mean over them estimates the weighted mean over uniform ones, up to a constant."""
    noising, stream = Noising(squared_cosine(), CPU), torch.Generator().manual_seed(3)
    drawn = torch.cat([noising.important_timesteps(64, stream) for _ in range(2000)])
    counts = torch.bincount(drawn, minlength=1000).double()
    wanted = noising.weight.double() / noising.weight.double().sum() * len(drawn)
    groups, expected = counts.view(20, 50).sum(1), wanted.view(20, 50).sum(1)
    assert ((groups - expected).abs() < 5 * expected.sqrt() + 5).all()
    batch = noising.important_timesteps(64, stream)
    assert (batch.diff() >= 0).all(), "stratified: the batch covers all noise levels"
    error = torch.linspace(1, 2, 1000).double()
    weighted = (noising.weight.double() * error).sum() / noising.weight.double().sum()
    assert error[drawn].mean().item() == pytest.approx(weighted.item(), rel=1e-3)


def test_a_tenth_of_the_captions_is_emptied():
    stream = torch.Generator().manual_seed(0)
    kept = with_empty(["x"] * 2000, stream)
    assert 150 < kept.count("") < 250


def test_a_small_stage_learns_what_a_larger_one_predicts(corpus, text, tmp_path, capsys):
    from castex.cli import main

    wide = BASE.model_copy(update={"shape": CascadeShape(
        channels=(16, 32), layers=(1, 1), attention=(False, True), head=16)})  # fmt: skip
    for name, settings in (("if_xl", wide), ("if_m", BASE.model_copy(update={"start": "if_xl"}))):
        write_json(tmp_path / f"{name}.json", settings.model_dump(mode="json"))
    shared = ["--corpus", str(corpus), "--text", str(text[0]), "--checkpoints", str(tmp_path / "c")]

    def train(name, *more):
        given = ["--settings", str(tmp_path / f"{name}.json"), "--output", str(tmp_path / name)]
        return main(["train_base", *shared, *given, *more])

    assert train("if_m") == 2 and "start=if_xl; give its folder with --start" in capsys.readouterr().err
    assert train("if_xl", "--start", str(tmp_path)) == 2 and "leave out --start" in capsys.readouterr().err
    assert train("if_xl") == 0
    assert train("if_m", "--start", str(tmp_path / "if_xl")) == 0
    told = json.loads((tmp_path / "if_m/training.json").read_text())
    assert told["data"]["start"] == read_sums(tmp_path / "if_xl")

    pictures, words = read_corpus(corpus, "models", size=16), load_text(text[0])
    teacher = BaseRecipe("if_xl", wide, pictures, words).unet
    taught = BaseRecipe("if_m", BASE, pictures, words, teacher)
    stream = torch.Generator().manual_seed(0)
    taught.unet = teacher  # a pupil that says what its teacher says has nothing to learn
    assert float(taught.loss(0, 4, stream)) == 0


def test_the_verbs_train_and_stop_at_their_budget(corpus, text, tmp_path, capsys):
    from castex.cli import main

    write_json(tmp_path / "s.json", BASE.model_dump(mode="json"))
    common = ["--settings", str(tmp_path / "s.json"), "--corpus", str(corpus), "--text", str(text[0])]
    places = ["--checkpoints", str(tmp_path / "c"), "--output", str(tmp_path / "if_m")]
    assert main(["train_base", *common, "--minutes", "1e-9", *places]) != 0
    assert "ended at step 1 of 4" in capsys.readouterr().err and not (tmp_path / "if_m").exists()
    assert main(["train_base", *common, *places]) == 0
    assert json.loads((tmp_path / "if_m/training.json").read_text())["name"] == "if_m"


@pytest.mark.parametrize(
    "change", [{"channels": (8, 16, 24)}, {"channels": (8, 12)}, {"layers": (1,)}, {"head": 4}]
)
def test_shapes_that_cannot_be_are_refused(change):
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        CascadeShape.model_validate(BASE.shape.model_dump() | change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", r"as a T5EncoderModel: missing keys, .*block\.1\."),
        ("tokens", r"added_tokens\.json is not listed"),
    ],
)
def test_a_text_encoder_that_is_not_whole_is_refused(text, tmp_path, damage, message):
    """transformers would make up what is missing."""
    folder = tmp_path / "t5"
    shutil.copytree(text[0], folder)
    if damage == "missing":
        path = folder / "text_encoder" / "model.safetensors"
        kept = {name: value for name, value in load_file(path).items() if "block.1." not in name}
        save_file(kept, path, metadata={"format": "pt"})
        write_sums(folder, list(read_sums(folder)))
    else:
        (folder / "tokenizer" / "added_tokens.json").write_text('{"red": 5}')
    with pytest.raises(WeightsError, match=message):
        load_text(folder)
