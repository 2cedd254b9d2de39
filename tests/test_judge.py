"""The judge: pictures prepared as CLIP's own processor does it, features, names, and its yardstick."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from castex.errors import WeightsError
from castex.files import sha256, write_json, write_tensors
from castex.judge import Judge, Preparation, load_judge
from castex.maps import linear_to_srgb, srgb_to_linear
from castex.settings.training import TrainClipSettings
from castex.training.captions import UNTEXTURED, held_out
from castex.training.clip import MEAN, STD
from castex.training.clip_start import new_clip
from castex.training.clip_yardstick import CHANCE, clip_yardstick, holds, most_confused, shown
from castex.training.corpus import KINDS
from castex.training.corpus_data import PALETTE, read_corpus
from castex.training.materials import COLOURS, MATERIALS
from castex.training.naming import (
    Labels,
    accuracies,
    labels_in,
    labels_of,
    name_pictures,
    never_seen,
    scores_of_prompts,
    words_of,
)
from castex.training.words import grammar_words, tokenizer_of
from castex.weights import SUMS, write_sums

TINY = TrainClipSettings(
    training={"steps": 1}, size=32, width=16, layers=1, text_width=16, text_layers=1, projection=8
)


@pytest.fixture
def folder(tmp_path):
    """A tiny random CLIP, half precision on disk."""
    from transformers import CLIPImageProcessorPil

    tokenizer = tokenizer_of(grammar_words(["vase"]))
    new_clip(TINY, len(tokenizer)).half().save_pretrained(tmp_path / "clip")
    tokenizer.save_pretrained(tmp_path / "clip")
    crop = {"height": 32, "width": 32}
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=crop, image_mean=MEAN, image_std=STD
    ).save_pretrained(tmp_path / "clip")
    listed(tmp_path / "clip")
    return tmp_path / "clip"


def listed(folder):
    write_sums(folder, [path.name for path in folder.iterdir() if path.name != SUMS])


@pytest.mark.parametrize(("height", "width"), [(128, 128), (16, 16), (32, 32), (70, 33), (40, 97)])
def test_pictures_are_prepared_as_the_library_does_it(height, width, stream):
    """Up to the rounding to bytes on the way, half a step of 1 / 255 before the division by 0.26."""
    from transformers import CLIPImageProcessorPil

    coarse = torch.rand(2, 3, 9, 7, generator=stream)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    pixels = (smooth * 255).round().byte()
    crop = {"height": 32, "width": 32}
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=crop, image_mean=MEAN, image_std=STD
    )
    pictures = [np.asarray(one.permute(1, 2, 0)) for one in pixels]
    theirs = torch.from_numpy(np.asarray(processor(pictures, return_tensors="np")["pixel_values"]))
    ours = Preparation(32, MEAN, STD)(pixels.float() / 255)
    assert ours.shape == (2, 3, 32, 32)
    assert (ours - theirs).abs().max() < 1.6 / 255 / min(STD)


def test_features_are_those_of_the_library(folder, stream):
    from transformers import CLIPModel

    judge = load_judge(folder)
    images = torch.rand(3, 3, 32, 32, generator=stream)
    texts = ["a red striped vase, front view", "an object"]
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    with torch.no_grad():
        tokens = judge.tokenizer(texts, padding=True, return_tensors="pt")
        theirs = model(**tokens, pixel_values=judge.prepare(images)).logits_per_image.log_softmax(1)
    torch.testing.assert_close(judge.similarities(images, texts).log_softmax(1), theirs, atol=1e-4, rtol=1e-4)
    assert judge.image_features(images).norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert torch.equal(judge.text_features(texts[:1]), judge.text_features(texts[:1]))
    alone, together = judge.text_features(texts[1:]), judge.text_features(texts)[1:]
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_long_and_foreign_sentences_are_read(folder):
    judge = load_judge(folder)
    assert judge.text_features(["", "vase " * 200, "Käse 東京 <|odd|>"]).isfinite().all()


def damaged(folder, damage):
    match damage:
        case "no processor":
            (folder / "preprocessor_config.json").unlink()
        case "stretching processor":
            path = folder / "preprocessor_config.json"
            told = json.loads(path.read_text()) | {"size": {"height": 32, "width": 32}}
            path.write_text(json.dumps(told))
        case "no tokenizer":
            (folder / "tokenizer.json").unlink()
            (folder / "tokenizer_config.json").unlink()
        case "broken tokenizer":
            (folder / "tokenizer.json").write_text("{")
        case "another shape":
            path = folder / "config.json"
            told = json.loads(path.read_text())
            told["vision_config"]["hidden_size"] = 32
            path.write_text(json.dumps(told))
    listed(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no processor", r"preprocessor_config\.json"),
        ("stretching processor", "does not bring the shorter side"),
        ("no tokenizer", r"must hold and list a tokenizer \(tokenizer\.json\)"),
        ("broken tokenizer", "cannot be loaded as a CLIPTokenizer"),
        ("another shape", "cannot be loaded as a CLIPModel"),
    ],
)
def test_a_folder_that_is_no_judge_is_one_sentence(folder, damage, message):
    damaged(folder, damage)
    with pytest.raises(WeightsError, match=message):
        load_judge(folder)


@pytest.mark.parametrize(
    "name", ["vocab.json", "added_tokens.json", "generation_config.json", "adapter_config.json"]
)
def test_what_nobody_checked_is_refused(folder, name):
    """More tokens would change the numbers of the words, and with them what the judge reads."""
    for note in ("training.json", "yardstick.json", "README.md"):
        (folder / note).write_text("{}")
    load_judge(folder)
    (folder / name).write_text('{"red": 5}')
    with pytest.raises(WeightsError, match=rf"{name} is not listed in the folder's checksums"):
        load_judge(folder)


def test_missing_weights_are_an_error(folder):
    """transformers would make them up."""
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    listed(folder)
    with pytest.raises(WeightsError, match=r"as a CLIPModel: missing keys, visual_projection\.weight"):
        load_judge(folder)


class Oracle(Judge):
    """Reads the right names out of the pictures: material in the red channel, colour in the green one."""

    __slots__ = ()

    def __init__(self):
        super().__init__(None, None, Preparation(8, MEAN, STD), "oracle")

    def similarities(self, images, texts):
        said = labels_in(texts)
        shown = (srgb_to_linear(images).mean((2, 3)) * 255).round().long()
        wrong = torch.zeros(len(images), len(texts))
        for channel, named in enumerate((said.material, said.colour)):
            wrong += (named[None] >= 0) & (named[None] != shown[:, channel, None])
        return -9 * wrong


def coded(material, colour, side=8):
    """A picture that an oracle can read."""
    values = torch.tensor([material, colour, 0.0]) / 255
    return values[:, None, None].expand(3, side, side)


def test_an_oracle_names_every_pair():
    pairs = [(m, c) for m in range(len(MATERIALS)) for c in range(len(COLOURS))]
    images = torch.stack([coded(*pair) for pair in pairs])
    named = name_pictures(Oracle(), images)
    assert [(int(m), int(c)) for m, c in zip(named.material, named.colour, strict=True)] == pairs


def test_colours_of_rust_and_gold_are_never_scored():
    facts = torch.tensor([[0, MATERIALS.index(name), 3, 0, 0, 0] for name in ("golden", "rusty", "plain")])
    labels = labels_of(facts)
    assert labels.colour.tolist() == [-1, -1, 3]
    named = Labels(labels.material, torch.tensor([5, 5, 5]))
    rows = {row["metric"]: row for row in accuracies(named, labels)}
    assert rows["accuracy_colour"] == {"metric": "accuracy_colour", "value": 0.0, "count": 1}
    assert rows["accuracy_material"]["value"] == 1
    assert rows["accuracy_both"]["value"] == pytest.approx(2 / 3)
    assert words_of(labels)[0] == {"material": "golden", "colour": None}


def test_prompts_are_scored_by_variant():
    """One right, one wrong in its colour, one of a pair that no corpus holds, and two without a prompt."""
    texts = ["a red striped vase", "a blue plain object, top view", "a green plain object", "", ""]
    assert never_seen(labels_in(texts)) == [False, False, True, False, False]
    assert held_out("plain", "green")
    named = Labels(torch.tensor([1, 0, 0, 1, 5]), torch.tensor([0, 0, 1, 0, 2]))
    found = {(r["variant"], r["metric"]): (r["value"], r["count"]) for r in scores_of_prompts(named, texts)}
    assert found["seen", "accuracy_colour"] == (0.5, 2) and found["seen", "accuracy_material"] == (1, 2)
    assert found["held_out", "accuracy_both"] == (1, 1)
    # Without a prompt: scored against the first two texts.
    assert found["control", "accuracy_material"] == (0.5, 2) and found["control", "accuracy_colour"] == (1, 2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A held-out corpus of coded pictures, with grey objects that look like a plain red one."""
    folder, names = tmp_path_factory.mktemp("held_out"), {}
    for k, kind in enumerate(KINDS):
        colours = list(range(len(PALETTE))) if kind != UNTEXTURED else [6] * 40
        code = [coded(k, c, 128) if kind != UNTEXTURED else coded(0, 0, 128) for c in colours]
        facts = torch.zeros(len(colours), 5, dtype=torch.uint8)
        facts[:, 0], facts[:, 1] = k, torch.tensor(colours)
        image = (torch.stack(code) * 255).round().byte()
        write_tensors(folder / "shards" / f"mug-{kind}.safetensors", {"image": image, "facts": facts})
        names[f"mug-{kind}.safetensors"] = sha256(folder / "shards" / f"mug-{kind}.safetensors")
    write_json(folder / "corpus.json", {"shards": names})
    return read_corpus(folder, "both")


def test_the_three_sets_of_the_yardstick(pictures):
    sets = shown(pictures, seed=0)
    assert [len(sets[name].index) for name in ("seen", "held_out", "control")] == [86, 10, 40]
    assert all(never_seen(sets["held_out"].wanted)) and not any(never_seen(sets["seen"].wanted))
    assert (pictures.facts[sets["control"].index, 1] == KINDS.index(UNTEXTURED)).all()
    assert set(sets["control"].wanted.material.tolist()) <= set(range(len(MATERIALS)))
    again = shown(pictures, seed=0)
    assert torch.equal(again["control"].wanted.material, sets["control"].wanted.material)


def test_a_judge_that_is_right_passes(pictures):
    found = clip_yardstick(Oracle(), pictures)
    rows = {(r["variant"], r["size"], r["metric"]): r for r in found["rows"] if r["light"] == "all"}
    assert rows["seen", 128, "accuracy_both"]["value"] == rows["seen", 32, "accuracy_both"]["value"] == 1
    assert rows["seen", 32, "accuracy_colour"]["count"] == 70
    assert rows["control", 128, "accuracy_material"]["value"] < 0.3
    assert found["passed"] and found["confusions"]["32"] == []
    # All of these pictures are under the first light.
    assert {row["light"] for row in found["rows"]} == {"all", "studio"}


def test_a_judge_that_sees_one_material_everywhere_fails(pictures):
    class Stubborn(Oracle):
        """Everything is striped to it."""

        __slots__ = ()

        def similarities(self, images, texts):
            plain = images.clone()
            plain[:, 0] = linear_to_srgb(torch.tensor(1 / 255))
            return super().similarities(plain, texts)

    found = clip_yardstick(Stubborn(), pictures)
    assert not found["passed"]
    assert {row["named"] for row in found["confusions"]["128"]} == {"striped"}


@pytest.mark.parametrize(
    ("variant", "metric", "value", "count", "good"),
    [
        ("seen", "accuracy_colour", 0.96, 100, True),
        ("seen", "accuracy_colour", 0.94, 100, False),
        ("seen", "accuracy_both", 0.5, 100, True),
        ("held_out", "accuracy_material", 0.1, 100, True),
        ("control", "accuracy_material", 0.09, 1000, True),
        ("control", "accuracy_material", 0.2, 1000, False),
        ("control", "accuracy_colour", CHANCE["accuracy_colour"], 1, True),
    ],
)
def test_what_counts_as_passed(variant, metric, value, count, good):
    assert (
        holds({"variant": variant, "light": "all", "metric": metric, "value": value, "count": count}) is good
    )


def test_no_bound_for_one_light_alone():
    assert holds(
        {"variant": "seen", "light": "sunset", "metric": "accuracy_colour", "value": 0.1, "count": 9}
    )


def test_confusions_are_shares_of_what_is_shown():
    wanted = Labels(torch.tensor([1, 1, 1, 1]), torch.tensor([0, 0, 0, 0]))
    named = Labels(torch.tensor([1, 1, 2, 1]), torch.tensor([0, 0, 0, 4]))
    assert {(row["shown"], row["named"], row["share"]) for row in most_confused(named, wanted)} == {
        ("striped", "checkered", 0.25),
        ("red", "orange", 0.25),
    }
