"""The yardstick of stage I: its prompts, its verdict, its sheet, and its refusal of a judge that failed."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch

from castex import diffusion
from castex.cli import main
from castex.judge import Judge, Preparation
from castex.prompt import load_text_encoder
from castex.settings.models import EmbedSettings, ExecutionSettings
from castex.settings.samples import SampleSettings
from castex.training.captions import held_out
from castex.training.clip import MEAN, STD
from castex.training.naming import labels_in, never_seen
from castex.training.sample_yardstick import sample_yardstick, tiles, yardstick_prompts
from castex.training.sentences import pair_sentences
from castex.weights import locate, write_sums

FAST = SampleSettings(steps=2, execution=ExecutionSettings(precision="float32"))


class Dreamer(Judge):
    """Says what it was told before, whatever it sees."""

    __slots__ = ("pairs",)

    def __init__(self, texts):
        super().__init__(None, None, Preparation(8, MEAN, STD), "dreamer")
        labels = labels_in(texts)
        object.__setattr__(
            self, "pairs", list(zip(labels.material.tolist(), labels.colour.tolist(), strict=True))
        )

    def similarities(self, images, texts):
        said = labels_in(texts)
        right = torch.tensor(self.pairs)
        wrong = torch.zeros(len(images), len(texts))
        for column, named in enumerate((said.material, said.colour)):
            wrong += (named[None] >= 0) & (named[None] != right[:, column, None])
        return -9 * wrong


def test_prompts_ask_for_every_pair_equally_often():
    texts = yardstick_prompts()
    assert len(texts) == 256 + 40 + 64 and texts[-64:] == [""] * 64
    labels = labels_in(texts)
    new = never_seen(labels)
    assert sum(new) == 40 and all(new[256:296]) and not any(new[:256])
    counts = Counter(zip(labels.material.tolist()[:256], labels.colour.tolist()[:256], strict=True))
    assert len(counts) == 72 and set(counts.values()) == {3, 4}
    known = {
        text for material, colour, text in pair_sentences() if not (colour and held_out(material, colour))
    }
    assert {text.split(",")[0] for text in texts[:256]} == known
    views = Counter(text.partition(", ")[2] for text in texts[:256])
    assert len(views) == 6 and min(views.values()) > 30


@pytest.mark.parametrize(("trained_on", "required"), [("cpu", 0.85), ("cuda", 0.9)])
def test_a_judge_that_hears_the_prompt_passes_any_model(tiny_models, trained_on, required):
    texts = yardstick_prompts(4, 2, 3)
    model = diffusion.load_base(tiny_models / "if_m", FAST.execution)
    encoder = load_text_encoder(locate(tiny_models / "if_m"), EmbedSettings())
    wanted = [text or "a blue zebra object" for text in texts]
    images, record = sample_yardstick(model, encoder, Dreamer(wanted), texts, FAST, trained_on=trained_on)
    assert images.shape == (9, 3, 32, 32)
    assert record["passed"] and record["required"] == required
    rows = {(row["variant"], row["metric"]): row["value"] for row in record["rows"]}
    assert rows["seen", "accuracy_both"] == rows["held_out", "accuracy_colour"] == 1
    # Nothing was asked of the pictures without a prompt: they are wrong about the first three.
    assert rows["control", "accuracy_both"] == 0
    _, failed = sample_yardstick(
        model, encoder, Dreamer(["a blue zebra object"] * 9), texts, FAST, trained_on=trained_on
    )
    assert not failed["passed"]


def test_tiles_are_in_reading_order():
    pictures = torch.arange(5.0)[:, None, None, None].expand(-1, 3, 2, 2) / 10
    sheet = tiles(pictures, 3)
    assert sheet.shape == (1, 3, 4, 6)
    assert sheet[0, 0, ::2, ::2].flatten().tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 1])


@pytest.fixture
def judge(tmp_path):
    """A tiny random CLIP folder."""
    from transformers import CLIPImageProcessorPil

    from castex.settings.training import TrainClipSettings
    from castex.training.clip_start import new_clip
    from castex.training.words import grammar_words, tokenizer_of

    folder = tmp_path / "clip"
    tokenizer = tokenizer_of(grammar_words(["vase"]))
    shape = {"size": 32, "width": 16, "layers": 1, "text_width": 16, "text_layers": 1, "projection": 8}
    new_clip(TrainClipSettings(training={"steps": 1}, **shape), len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder)
    write_sums(folder, [path.name for path in folder.iterdir()])
    return folder


def measured(folder, *, passed=True, files=None):
    """The judge's own yardstick."""
    found = {"passed": passed, "files": locate(folder).files if files is None else files}
    (folder / "yardstick.json").write_text(json.dumps(found))


def asked(own_model, judge, tmp_path):
    model = own_model("if_m")
    (model / "training.json").write_text(json.dumps({"settings": {"device": "cpu"}}))
    return [
        "measure_samples", "--model", str(model), "--clip", str(judge), "--share", "0.02",
        "--settings", json.dumps({"steps": 2}), "--output", str(tmp_path / "yardstick.json"),
        "--sheet", str(tmp_path / "samples.png"),
    ]  # fmt: skip


def test_the_verb_measures_and_draws(own_model, judge, tmp_path):
    measured(judge)
    assert main(asked(own_model, judge, tmp_path)) == 0
    record = json.loads((tmp_path / "yardstick.json").read_text())
    assert {row["variant"] for row in record["rows"]} == {"seen", "held_out", "control"}
    assert record["files"] == locate(tmp_path / "if_m").files and record["required"] == 0.85
    assert (tmp_path / "samples.png").stat().st_size > 100


@pytest.mark.parametrize(
    ("told", "message"),
    [({"passed": False}, "did not pass its own yardstick"), ({"files": {}}, "measured another judge")],
)
def test_a_judge_that_failed_or_changed_is_refused(own_model, judge, tmp_path, capsys, told, message):
    measured(judge, **told)
    assert main(asked(own_model, judge, tmp_path)) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "yardstick.json").exists()
