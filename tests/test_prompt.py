"""Texts and their embeddings, against diffusers' own pipelines."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_models import CLIP_WIDTH, TEXT_WIDTH, TOKENS, sums

from castex.cli import main
from castex.errors import InputError, WeightsError
from castex.prompt import (
    UNCONDITIONAL,
    VIEW_WORDS,
    load_text_encoder,
    read_embeddings,
    text_identity,
    texts_of,
    with_view,
    write_embeddings,
)
from castex.settings.models import EmbedSettings, PromptSettings
from castex.shot import orbit, view_words
from castex.weights import locate, verify

PLAIN = EmbedSettings()
LONG = "red brick vase " * 60


@pytest.fixture(scope="module")
def encoders(tiny_models):
    return {name: load_text_encoder(locate(tiny_models / name), PLAIN) for name in ("if_m", "if_ii", "sd")}


def lock(folder, path):
    """A lock file as the verb `fetch` writes it."""
    record = {"model": "m", "folder": str(folder), "files": verify(folder).files, "licence": "MIT"}
    path.write_text(json.dumps(record))
    return path


def test_texts_are_the_prompt_its_views_and_nothing():
    texts = texts_of(PromptSettings(texts=["a vase", "a vase"]))
    assert texts == ["", "a vase", *(f"a vase, {word}" for word in VIEW_WORDS)]
    assert texts_of(PromptSettings(texts=["a vase"], views=False)) == ["", "a vase"]


def test_view_words_are_those_of_the_shots():
    shot = orbit(8, elevation=0.0)
    said = {*view_words(shot), *view_words(orbit(1, elevation=80.0)), *view_words(orbit(1, elevation=-80.0))}
    assert said == set(VIEW_WORDS)


@pytest.mark.parametrize("text", ["A Red brick Vase ", "zebra mug, top view", "", LONG])
def test_deepfloyds_text_is_that_of_its_pipeline(encoders, tiny_models, text):
    from diffusers import IFSuperResolutionPipeline

    pipeline = IFSuperResolutionPipeline.from_pretrained(
        tiny_models / "if_ii", unet=None, safety_checker=None, watermarker=None, feature_extractor=None,
        requires_safety_checker=False, low_cpu_mem_usage=False,
    )  # fmt: skip
    with torch.no_grad():
        theirs, negative = pipeline.encode_prompt(text)
    ours = encoders["if_ii"].embed([text, UNCONDITIONAL])
    torch.testing.assert_close(ours.of([text]), theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.negative, negative, atol=1e-5, rtol=1e-5)
    assert ours.values.shape == (2, TOKENS, TEXT_WIDTH)
    assert (encoders["if_ii"].lost(text) > 0) == (text == LONG)


@pytest.mark.parametrize("text", ["A Red brick Vase", "", LONG])
def test_stable_diffusions_text_is_that_of_its_pipeline(encoders, tiny_models, text):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_models / "sd", unet=None, variant=None, vae=None, low_cpu_mem_usage=False
    )
    with torch.no_grad():
        theirs, negative = pipeline.encode_prompt(text, "cpu", 1, True)
    ours = encoders["sd"].embed([text, UNCONDITIONAL])
    torch.testing.assert_close(ours.of([text]), theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.negative, negative, atol=1e-5, rtol=1e-5)
    assert ours.values.shape == (2, TOKENS, CLIP_WIDTH)


def test_sentencepiece_layout_is_read_by_its_own_library(encoders, tiny_models):
    """The layout of the published checkpoints: spiece.model, no tokenizer.json."""
    from sentencepiece import SentencePieceProcessor

    folder = tiny_models / "if_m" / "tokenizer"
    assert (folder / "spiece.model").is_file() and not (folder / "tokenizer.json").exists()
    pieces = SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    tokenizer = encoders["if_m"].tokenizer
    assert tokenizer.ids("a red vase") == [*pieces.encode("a red vase"), pieces.eos_id()]
    assert tokenizer.padded("", 4) == [1, 0, 0, 0]
    cut = tokenizer.padded("a red vase", 3)
    assert cut == [*pieces.encode("a red vase")[:2], 1], "the mark of the end survives"


def test_a_text_does_not_depend_on_the_others(encoders):
    alone = encoders["if_m"].embed(["a red vase"]).values[0]
    among = encoders["if_m"].embed(["a golden car", "a red vase", ""]).values[1]
    assert torch.equal(alone, among)


def test_the_mask_says_where_the_text_is(encoders):
    embedded = encoders["if_m"].embed(["a red vase", ""])
    assert embedded.masks.sum(1).tolist() == [len(encoders["if_m"].tokenizer.ids("a red vase")), 1]


def test_the_verb_writes_what_the_reader_reads(tiny_models, tmp_path, encoders):
    record = lock(tiny_models / "if_m", tmp_path / "if_m.json")
    (tmp_path / "texts.json").write_text(json.dumps({"texts": ["a red vase"], "views": True}))
    output = tmp_path / "out" / "e.safetensors"
    arguments = ["--model", str(record), "--texts", str(tmp_path / "texts.json"), "--output", str(output)]
    assert main(["embed", *arguments]) == 0
    found = read_embeddings(output, record)
    direct = encoders["if_m"].embed(["a red vase, side view"])
    assert torch.equal(found.of_views("a red vase", ["side view"]), direct.values)
    assert found.texts[0] == "" and len(found.texts) == 7 and found.negative.shape[0] == 1
    assert torch.equal(
        found.masks[6], found.masks[list(found.texts).index(with_view("a red vase", "bottom view"))]
    )
    again = tmp_path / "again.safetensors"
    assert main(["embed", *arguments[:-1], str(again)]) == 0
    assert again.read_bytes() == output.read_bytes()


def test_embeddings_of_another_encoder_are_refused(encoders, tiny_models, tmp_path):
    write_embeddings(tmp_path / "e.safetensors", encoders["if_m"].embed(["a vase"]))
    other = lock(tiny_models / "if_ii", tmp_path / "if_ii.json")
    with pytest.raises(WeightsError, match=r"was made by another text encoder than that of .*if_ii\.json"):
        read_embeddings(tmp_path / "e.safetensors", other)


def test_the_identity_is_that_of_encoder_and_tokenizer_alone(own_model, tiny_models):
    folder = own_model("if_m")
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    assert text_identity(verify(sums(folder))) == text_identity(verify(tiny_models / "if_m"))
    path = folder / "tokenizer" / "tokenizer_config.json"
    path.write_text(path.read_text() + " ")
    assert text_identity(verify(sums(folder))) != text_identity(verify(tiny_models / "if_m"))


@pytest.mark.parametrize("content", [b"", b"{}", b"\x10" * 64])
def test_a_file_that_is_none(tmp_path, content):
    (tmp_path / "e.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="holds no embedded texts"):
        read_embeddings(tmp_path / "e.safetensors")
    with pytest.raises(InputError, match="holds no embedded texts"):
        read_embeddings(tmp_path / "nothing.safetensors")


def test_an_unknown_text_is_named(encoders):
    with pytest.raises(InputError, match="the text 'a mug' was not embedded"):
        encoders["if_m"].embed(["a vase"]).of(["a mug"])


def test_models_without_a_text_encoder_say_so(tiny_models, own_model):
    with pytest.raises(WeightsError, match="a T5EncoderModel or a CLIPTextModel is needed"):
        load_text_encoder(locate(tiny_models / "controlnet_depth"), PLAIN)
    folder = own_model("if_m")
    (folder / "tokenizer" / "spiece.model").write_bytes(b"no pieces")
    with pytest.raises(WeightsError, match="cannot be loaded as a T5Tokenizer"):
        load_text_encoder(locate(sums(folder)), PLAIN)


def test_missing_weights_of_the_encoder_are_an_error(own_model):
    """transformers would fill the layer with random numbers and only say so."""
    folder = own_model("if_m")
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_layers": 3}))
    with pytest.raises(WeightsError, match=r"cannot be loaded as a T5EncoderModel: missing keys"):
        load_text_encoder(locate(sums(folder)), PLAIN)


@pytest.mark.parametrize("name", ["added_tokens.json", "chat_template.jinja"])
@pytest.mark.parametrize("model", ["if_m", "sd"])
def test_a_file_beside_the_tokenizer_that_nobody_checked(own_model, model, name):
    folder = own_model(model)
    (folder / "tokenizer" / name).write_text('{"red": 5}')
    with pytest.raises(WeightsError, match=rf"tokenizer/{name} is not listed in the folder's checksums"):
        load_text_encoder(locate(folder), PLAIN)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_prompt_is_refused(tiny_models, tmp_path, text, capsys):
    output = tmp_path / "e.safetensors"
    arguments = ["--model", str(tiny_models / "if_m"), "--prompt", text, "--output", str(output)]
    assert main(["embed", *arguments]) == 2
    said = capsys.readouterr().err
    assert "a prompt is empty" in said and "Traceback" not in said and not output.exists()


def test_eight_bit_needs_cuda_and_its_package(tiny_models):
    folder = locate(tiny_models / "if_m")
    with pytest.raises(InputError, match="eight_bit needs a CUDA device"):
        load_text_encoder(folder, EmbedSettings(eight_bit=True))
    with pytest.raises(InputError, match="needs the package bitsandbytes"):
        load_text_encoder(folder, EmbedSettings(eight_bit=True, device="cuda"))
