"""The mini CLIP: its tokenizer, its targets, its varied pictures, and a training that resumes."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from castex.errors import InputError
from castex.files import sha256, write_json, write_tensors
from castex.maps import linear_to_srgb
from castex.settings.training import AugmentSettings, TrainClipSettings
from castex.training.augment import degraded, draw_motion, recoloured, unevenly_lit
from castex.training.captions import OWN_COLOUR, UNTEXTURED, Facts, caption, prompt
from castex.training.clip import SURFACE, ClipRecipe, joined
from castex.training.clip_start import cosine_basis, new_clip
from castex.training.corpus import KINDS
from castex.training.corpus_data import PALETTE, read_corpus
from castex.training.sentences import (
    COLOUR,
    MATERIAL,
    MESH,
    SILENT,
    VIEW,
    lone_sentences,
    matched,
    pair_sentences,
    said,
    true_of,
    without_colour,
)
from castex.training.sitting import write_model
from castex.training.trainer import Trainer
from castex.training.words import TOKENS, byte_letters, grammar_words, merges_for, tokenizer_of

MESHES = ("boat", "vase")
LOOP = {"steps": 4, "batch": 6, "checkpoint_every": 2, "mixed_precision": False}
TINY = TrainClipSettings(
    training=LOOP,
    size=32, width=16, layers=1, text_width=16, text_layers=1, projection=8,
)  # fmt: skip
EVERY = AugmentSettings(recolour=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sixteen flat pictures of two meshes, in four materials and two colours."""
    folder = tmp_path_factory.mktemp("corpus")
    stream, names = torch.Generator().manual_seed(0), {}
    for mesh in MESHES:
        for kind in ("striped", "golden", "plain", "denim"):
            facts = torch.zeros(4, 5, dtype=torch.uint8)
            facts[:, 0] = KINDS.index(kind)
            facts[:, 1] = torch.tensor([0, 1, 0, 1])
            facts[:, 3] = 1
            layers = {
                "image": torch.randint(256, (4, 3, 64, 64), generator=stream, dtype=torch.uint8),
                "albedo": torch.randint(256, (4, 3, 64, 64), generator=stream, dtype=torch.uint8),
                "surface": torch.randint(256, (4, 2, 64, 64), generator=stream, dtype=torch.uint8),
                "depth": torch.full((4, 1, 64, 64), 200, dtype=torch.uint8),
            }
            path = folder / "shards" / f"{mesh}-{kind}.safetensors"
            write_tensors(path, {**layers, "facts": facts})
            names[path.name] = sha256(path)
    write_json(folder / "corpus.json", {"shards": names})
    return folder


def recipe(corpus, settings=TINY):
    pictures = read_corpus(corpus, "judge", size=settings.size)
    surface = read_corpus(corpus, "judge", layers=SURFACE, size=settings.size // settings.patch)
    return ClipRecipe(settings, pictures, surface)


def trainer(corpus):
    return Trainer(recipe(corpus), TINY.training, data="made up")


@pytest.fixture(scope="module")
def words():
    return grammar_words(MESHES)


def test_every_word_of_the_grammar_is_one_token(words):
    tokenizer = tokenizer_of(words)
    for word in words:
        assert tokenizer.tokenize(word) == [f"{word}</w>"]
    sentence = prompt("striped", "red", "vase", "front view")
    ids = tokenizer(sentence).input_ids
    assert len(ids) == 2 + 7 and ids[0] == len(tokenizer) - 2 and ids[-1] == len(tokenizer) - 1


def test_the_tokenizer_is_the_same_each_time_and_from_disk(words, tmp_path):
    from transformers import CLIPTokenizer

    first, second = tokenizer_of(words), tokenizer_of(words)
    first.save_pretrained(tmp_path)
    third = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in ("a red striped vase, front view", "an orange bakadofi", "Zürich 東京 <|nonsense|> 3.5\n"):
        assert first(text).input_ids == second(text).input_ids == third(text).input_ids
    assert third.model_max_length == TOKENS


def test_bytes_have_the_letters_of_the_published_vocabulary():
    """Those that the library itself uses, so that no text is without tokens."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = byte_letters()
    assert sorted(letters) == sorted(ByteLevel.alphabet())
    assert letters[ord("a")] == "a" and letters[ord(" ")] == "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"


@given(st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=8, unique=True))
def test_merges_join_any_words(words):
    tokenizer = tokenizer_of(words)
    assert [tokenizer.tokenize(word) for word in words] == [[f"{word}</w>"] for word in words]
    assert len(set(merges_for(words))) == len(merges_for(words))


def facts(mesh="vase", material="striped", colour="red", view=0):
    return [MESHES.index(mesh), KINDS.index(material), PALETTE.index(colour), view, 1, 0]


def test_what_a_sentence_says():
    rows = said(["a red striped vase, side view", "a leopard bakafu", "an object"], MESHES).said
    assert rows[0, [MESH, MATERIAL, COLOUR, VIEW]].tolist() == [1, 1, 0, 1]
    assert rows[1].tolist() == [SILENT, KINDS.index("leopard"), SILENT, SILENT]
    assert (rows[2] == SILENT).all()


def test_every_caption_is_true_of_its_own_picture_and_of_no_contrary_one():
    stream = torch.Generator().manual_seed(7)
    other = torch.tensor([facts("boat", "plain", "blue", 3)])
    for _ in range(200):
        text = caption(Facts("vase", "striped", "red", "front view"), stream)
        sentence = said([text], MESHES).said
        assert true_of(torch.tensor([facts()]), sentence).item()
        silent = bool((sentence == SILENT).all())
        assert true_of(other, sentence).item() == silent, text


def test_rust_and_gold_have_no_colour():
    sentences = said(["a red object", "a golden object", "a red golden object"], MESHES).said
    assert true_of(torch.tensor([facts(material="golden")]), sentences).tolist() == [[False, True, False]]


def test_the_82_sentences_and_the_lone_ones():
    pairs = pair_sentences()
    assert len(pairs) == 10 * 8 + 2 and len({text for *_, text in pairs}) == 82
    assert [colour for material, colour, _ in pairs if material in OWN_COLOUR] == [None, None]
    colours, materials = lone_sentences()
    assert colours[4] == "an orange object" and materials[1] == "a striped object"
    assert without_colour("an orange striped boat, top view") == "a striped boat, top view"
    assert without_colour("a red object") == "an object"


def test_all_true_pairs_share_the_target():
    """Two equal matches: the best that a softmax can do is a half for each, a loss of log 2."""
    matches = torch.tensor([[True, True, False]])
    best = torch.tensor([[30.0, 30.0, 0.0]])
    fair = torch.ones_like(matches)
    assert matched(best, matches, fair).item() == pytest.approx(torch.log(torch.tensor(2.0)).item())
    # A pair of which nobody can tell plays no part, whatever its logit.
    doubtful = torch.tensor([[True, False, True]])
    assert matched(best, matches, doubtful).item() == pytest.approx(0, abs=1e-6)
    assert matched(best, torch.zeros_like(matches), fair).item() == 0


def test_unfair_pairs_leave_no_trace_in_the_gradient():
    logits = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    matched(logits, torch.tensor([[True, False, False]]), torch.tensor([[True, True, False]])).backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[0, 2] == 0 and logits.grad[0, 0] < 0


def test_recolouring_keeps_grey_and_moves_the_rest(stream):
    grey = torch.rand(20, 1, 4, 4, generator=stream).expand(-1, 3, -1, -1)
    same = recoloured(grey, AugmentSettings(light=0), stream)
    torch.testing.assert_close(same, grey, rtol=1e-5, atol=1e-5)
    red = torch.tensor([0.8, 0.1, 0.1])[None, :, None, None].expand(400, -1, 2, 2)
    hues = recoloured(red, AugmentSettings(light=0), stream).amax((2, 3)).argmax(1)
    assert torch.bincount(hues, minlength=3).min() > 60


def test_motion_mirrors_half_and_stays_small(stream):
    still = draw_motion(64, AugmentSettings(turn=0, zoom=0, shift=0), stream)
    ramp = torch.linspace(0, 1, 8).expand(64, 1, 8, 8)
    moved = still(ramp)
    mirrored = (moved[:, 0, 0, 0] > 0.5).sum()
    assert 16 < mirrored < 48
    one = torch.where(moved[:, :, :1, :1] > 0.5, moved.flip(-1), moved)
    torch.testing.assert_close(one, ramp, atol=1e-5, rtol=0)


def test_degraded_pictures_stay_pictures(stream):
    found = degraded(torch.rand(40, 3, 16, 16, generator=stream), AugmentSettings(), stream)
    assert found.shape == (40, 3, 16, 16) and found.min() >= 0 and found.max() <= 1
    still = AugmentSettings(brightness=0, tint=0, noise=0, blur=0)
    flat = torch.full((40, 3, 16, 16), 0.25)
    torch.testing.assert_close(degraded(flat, still, stream), linear_to_srgb(flat), atol=1e-4, rtol=0)


def test_patches_begin_as_an_orthonormal_transform():
    basis = cosine_basis(8).flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(64), atol=1e-5, rtol=0)
    assert basis[0].std() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_loss_is_finite_whoever_is_recoloured(corpus, stream, share):
    made = recipe(corpus, TINY.model_copy(update={"augment": AugmentSettings(recolour=share)}))
    for step in range(3):
        loss = made.loss(step, 5, stream)
        loss.backward()
        assert torch.isfinite(loss) and 1 < loss < 40
    assert all(torch.isfinite(p.grad).all() for p in made.model.parameters() if p.grad is not None)


def test_masked_pictures_go_the_way_of_whole_ones(corpus, stream):
    """With all patches kept, what is trained is the model's own forward pass."""
    made = recipe(corpus)
    pixels = torch.randn(3, 3, 32, 32, generator=stream)
    whole = made._kept(step=3, batch=3, stream=stream)
    assert whole.tolist() == [list(range(16))] * 3
    with torch.no_grad():
        ours = made._hidden(pixels, whole)[:, 0]
        theirs = made.model.vision_model(pixel_values=pixels).pooler_output
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    part = made._kept(step=0, batch=3, stream=stream)
    assert part.shape == (3, 8) and made._hidden(pixels, part).shape == (3, 9, 16)
    assert all(len(set(row)) == 8 for row in part.tolist())


def test_a_start_is_the_same_each_time_and_leaves_the_global_stream_alone():
    before = torch.get_rng_state()
    first, second = (new_clip(TINY, 600).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(before, torch.get_rng_state())


def test_corpora_of_other_meshes_are_not_joined(corpus):
    pictures = read_corpus(corpus, "judge", size=32)
    both = joined(pictures, pictures)
    assert len(both) == 2 * len(pictures) and both.facts_of(len(pictures)) == pictures.facts_of(0)
    with pytest.raises(InputError, match="other meshes"):
        joined(pictures, dataclasses.replace(pictures, meshes=("boat",)))


def test_the_judge_learns_from_pictures_with_a_material_alone(corpus):
    pictures = read_corpus(corpus, "judge", size=32)
    assert pictures.textured() is pictures
    grey = pictures.facts.clone()
    grey[:3, 1] = KINDS.index(UNTEXTURED)
    left = dataclasses.replace(pictures, facts=grey).textured()
    assert len(left) == len(pictures) - 3 and left.identity != pictures.identity
    assert torch.equal(left.layers["image"], pictures.layers["image"][3:])
    assert torch.equal(left.facts, pictures.facts[3:])


def test_colours_are_never_learned_from_recoloured_pictures(corpus, stream):
    """The sentences about colours then receive no gradient at all."""
    made = recipe(corpus, TINY.model_copy(update={"augment": EVERY, "surface_weight": 0}))
    made.loss(0, 8, stream).backward()
    rows = made.model.text_model.embeddings.token_embedding.weight.grad
    green = made.tokenizer("green").input_ids[1]
    striped = made.tokenizer("striped").input_ids[1]
    assert rows[green].abs().max() == 0 and rows[striped].abs().max() > 0


def test_training_resumes_to_the_same_bytes(corpus, tmp_path):
    whole = trainer(corpus)
    assert whole.run(tmp_path / "whole")
    ticks = iter([0.0] * 5)
    broken = trainer(corpus)
    assert not broken.run(tmp_path / "parts", clock=lambda: next(ticks, 1e9))
    assert 0 < broken.step < 4
    again = trainer(corpus)
    assert again.resume(tmp_path / "parts") and again.run(tmp_path / "parts")
    assert again.losses == whole.losses
    for name, tensor in whole.averages.state_dict().items():
        assert torch.equal(tensor, again.averages.state_dict()[name]), name


def test_the_folder_is_a_whole_clip(corpus, tmp_path):
    """Stock classes read it offline; the head of the second task is not in it."""
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    made = trainer(corpus)
    write_model(tmp_path / "clip", lambda folder: made.recipe.export(made.averages, folder))
    model, report = CLIPModel.from_pretrained(
        tmp_path / "clip", local_files_only=True, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    config = json.loads((tmp_path / "clip" / "config.json").read_text())
    assert config["architectures"] == ["CLIPModel"] and config["dtype"] == "float16"
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "clip", local_files_only=True)
    processor = CLIPImageProcessorPil.from_pretrained(tmp_path / "clip", local_files_only=True)
    pixels = processor(torch.zeros(40, 50, 3, dtype=torch.uint8).numpy(), return_tensors="pt")
    texts = tokenizer(["a red vase", "a zebra, top view"], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model.float()(**texts, **pixels).logits_per_image
    assert logits.shape == (1, 2) and torch.isfinite(logits).all()


def test_uneven_light_differs_between_sides_and_keeps_darkness_dark(stream):
    flat = torch.full((40, 3, 16, 16), 0.3)
    lit = unevenly_lit(flat, AugmentSettings(), stream)
    gains = (lit / 0.3).log()
    assert lit.min() > 0 and gains.abs().max() < 1.4 * 1.6 * AugmentSettings().uneven
    assert gains.std((2, 3)).mean() > 0.05 and gains.mean((2, 3)).std(1).mean() > 0.05
    assert (unevenly_lit(torch.zeros(2, 3, 8, 8), AugmentSettings(), stream) == 0).all()
    assert torch.equal(unevenly_lit(flat, AugmentSettings(uneven=0), stream), flat)
