"""Model folders: every altered byte is noticed, and the message names the file."""

from __future__ import annotations

import json
import shutil

import pytest

from castex.errors import WeightsError
from castex.weights import SUMS, locate, read_sums, verify, write_sums


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.safetensors").write_bytes(b"weights")
    (tmp_path / "model" / "config.json").write_text("{}")
    write_sums(tmp_path / "model", ["config.json", "a.safetensors"])
    return tmp_path / "model"


def test_sums_are_what_the_sha256sum_command_writes(folder):
    lines = (folder / SUMS).read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["a.safetensors", "config.json"]
    assert verify(folder).files == read_sums(folder)


@pytest.mark.parametrize("content", [b"weight", b"weighty", b"weightS", b""])
def test_altered_or_truncated_file_is_named(folder, content):
    (folder / "a.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.safetensors is altered or truncated.*fetch the model again"):
        verify(folder)


def test_missing_file_is_named(folder):
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json is missing"):
        verify(folder)


def test_missing_folder_and_missing_record(folder, tmp_path):
    with pytest.raises(WeightsError, match="no model folder at"):
        verify(tmp_path / "nowhere")
    (folder / SUMS).unlink()
    with pytest.raises(WeightsError, match="has no SHA256SUMS"):
        verify(folder)


@pytest.mark.parametrize("line", ["nonsense", "0" * 64 + "  ../../etc/passwd", "0" * 64 + "  /etc/passwd"])
def test_a_record_may_not_leave_its_folder(folder, line):
    (folder / SUMS).write_text(line + "\n")
    with pytest.raises(WeightsError, match="no checksum"):
        verify(folder)


def test_a_lock_file_leads_to_its_folder(folder, tmp_path):
    lock = tmp_path / "vae.json"
    lock.write_text(json.dumps({"folder": str(folder), "files": read_sums(folder)}))
    assert locate(lock).path == folder
    (folder / "config.json").write_text("{ }")
    with pytest.raises(WeightsError, match=r"config\.json is altered"):
        locate(lock)


@pytest.mark.parametrize("text", ["", "[]", '{"folder": "x"}', "{"])
def test_a_broken_lock_file(tmp_path, text):
    (tmp_path / "vae.json").write_text(text)
    with pytest.raises(WeightsError, match=r"vae\.json .*run the rule `fetch` again"):
        locate(tmp_path / "vae.json")
    shutil.rmtree(tmp_path)
