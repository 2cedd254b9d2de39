"""Model downloads without a network: the real path, but for the one function that opens a socket."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import huggingface_hub
import pytest

from castex.cli import main
from castex.errors import WeightsError
from castex.fetch.models import fetch_model, model_folder
from castex.settings import ModelSettings

CONTENT = {"config.json": b"{}", "model.safetensors": b"weights"}
REVISION = "0123456789abcdef0123456789abcdef01234567"


def digest(content):
    return hashlib.sha256(content).hexdigest()


def remote(**files):
    return ModelSettings(
        repository="owner/name",
        revision=REVISION,
        files={name: files.get(name.split(".")[0]) for name in CONTENT},
        licence="MIT",
    )


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the Hub that serves its `content` and remembers what was `asked`."""

    class Hub:
        content, asked = dict(CONTENT), []

    def download(*, repo_id, filename, revision, local_dir):
        Hub.asked.append((repo_id, filename, revision))
        path = Path(local_dir) / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Hub.content[filename])
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return Hub


def test_downloads_the_pinned_revision_once(hub, tmp_path):
    settings = remote(config=digest(CONTENT["config.json"]), model=digest(CONTENT["model.safetensors"]))
    folder = fetch_model(settings, tmp_path)
    assert hub.asked == [("owner/name", name, REVISION) for name in CONTENT]
    assert folder.files == {name: digest(content) for name, content in CONTENT.items()}
    fetch_model(settings, tmp_path)
    assert len(hub.asked) == 2, "a complete cache asks for nothing"


def test_another_revision_never_passes_for_this_one(hub, tmp_path):
    fetch_model(remote(), tmp_path)
    hub.content["model.safetensors"] = b"newer"
    newer = remote().model_copy(update={"revision": "f" * 40})
    assert fetch_model(newer, tmp_path).files["model.safetensors"] == digest(b"newer")
    assert model_folder(newer, tmp_path) != model_folder(remote(), tmp_path)


def test_a_wrong_known_hash_is_refused(hub, tmp_path):
    with pytest.raises(WeightsError, match=r"model\.safetensors is altered"):
        fetch_model(remote(model="0" * 64), tmp_path)


@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_file_is_fetched_again(hub, tmp_path, known):
    settings = remote(model=digest(CONTENT["model.safetensors"]) if known else None)
    path = fetch_model(settings, tmp_path).path / "model.safetensors"
    path.write_bytes(b"wei")
    fetch_model(settings, tmp_path)
    assert path.read_bytes() == CONTENT["model.safetensors"]
    assert [name for _, name, _ in hub.asked].count("model.safetensors") == 2


def test_an_unknown_hash_is_recorded_and_compared_ever_after(hub, tmp_path):
    path = fetch_model(remote(), tmp_path).path / "model.safetensors"
    path.unlink()
    hub.content["model.safetensors"] = b"something else"
    with pytest.raises(WeightsError, match=r"model\.safetensors is altered"):
        fetch_model(remote(), tmp_path)


def test_offline_says_what_to_do(tmp_path):
    """HF_HUB_OFFLINE is set by conftest: this is huggingface_hub's own refusal."""
    with pytest.raises(WeightsError, match=r"could not be downloaded .*put the files config\.json, model"):
        fetch_model(remote(), tmp_path)


@pytest.mark.parametrize("error", [OSError("gated"), RuntimeError("broken proxy"), ValueError("half a body")])
def test_whatever_goes_wrong_names_the_page_and_the_folder(monkeypatch, tmp_path, error):
    def refuse(**_):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(WeightsError, match=r"accept its licence at https://.*/owner/name .* put the files"):
        fetch_model(remote(), tmp_path)


def test_a_gate_is_the_page_that_is_named(tmp_path):
    gated = remote().model_copy(update={"gate": "https://example.org/licence"})
    with pytest.raises(WeightsError, match=r"accept its licence at https://example\.org/licence if it asks"):
        fetch_model(gated, tmp_path)


def test_a_local_folder_wins_and_is_checked(tiny_vae, tmp_path):
    settings = ModelSettings(**(remote().model_dump() | {"folder": str(tiny_vae)}))
    assert fetch_model(settings, tmp_path / "unused").path == tiny_vae
    assert not (tmp_path / "unused").exists()


def test_the_verb_writes_a_lock_file(tiny_vae, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"folder": str(tiny_vae), "licence": "Apache-2.0"}))
    lock = tmp_path / "lock" / "vae.json"
    arguments = ["--settings", str(tmp_path / "s.json"), "--name", "vae", "--cache", str(tmp_path / "c")]
    assert main(["fetch", *arguments, "--output", str(lock)]) == 0
    record = json.loads(lock.read_text())
    assert record["folder"] == str(tiny_vae) and set(record["files"]) == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }
