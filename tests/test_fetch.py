"""Model downloads without a network: the real path, but for the one function that opens a socket."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import huggingface_hub
import pytest
import requests
from huggingface_hub.errors import GatedRepoError

from castex.cli import main
from castex.errors import WeightsError
from castex.fetch import fetch_model
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
    """A stand-in for the Hub that serves CONTENT and remembers what was asked."""
    asked = []

    def download(*, repo_id, filename, revision, local_dir):
        asked.append((repo_id, filename, revision))
        path = Path(local_dir) / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[filename])
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_downloads_the_pinned_revision_once(hub, tmp_path):
    settings = remote(config=digest(CONTENT["config.json"]), model=digest(CONTENT["model.safetensors"]))
    folder = fetch_model(settings, tmp_path)
    assert hub == [("owner/name", name, REVISION) for name in CONTENT]
    assert folder.files == {name: digest(content) for name, content in CONTENT.items()}
    fetch_model(settings, tmp_path)
    assert len(hub) == 2, "a complete cache asks for nothing"


def test_a_wrong_known_hash_is_refused(hub, tmp_path):
    with pytest.raises(WeightsError, match=r"model\.safetensors is altered"):
        fetch_model(remote(model="0" * 64), tmp_path)


def test_an_unknown_hash_is_recorded_and_compared_ever_after(hub, tmp_path):
    fetch_model(remote(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"weighty")
    with pytest.raises(WeightsError, match=r"model\.safetensors is altered"):
        fetch_model(remote(), tmp_path)


def test_offline_says_what_to_do(tmp_path):
    """HF_HUB_OFFLINE is set by conftest: this is huggingface_hub's own refusal."""
    with pytest.raises(WeightsError, match=r"could not be downloaded .*put the files config\.json, model"):
        fetch_model(remote(), tmp_path)


def test_a_gated_repository_names_the_page(monkeypatch, tmp_path):
    def refuse(**_):
        raise GatedRepoError("gated", response=requests.Response())

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(WeightsError, match=r"accept its licence at https://.*/owner/name"):
        fetch_model(remote(), tmp_path)


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
