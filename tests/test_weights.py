"""Model folders: every altered byte is noticed, and the message names the file."""

from __future__ import annotations

import json
import shutil

import pytest

from castex.errors import InputError, WeightsError
from castex.weights import (
    SUMS,
    check_alone,
    find_part,
    locate,
    read_config,
    read_lock,
    read_sums,
    shards_of,
    verify,
    write_digests,
    write_sums,
)


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


OUTSIDE = ["../../etc/passwd", "/etc/passwd", "a/../../b", "a/./b", "a//b", "a/"]


@pytest.mark.parametrize("line", ["nonsense", *(f"{'0' * 64}  {name}" for name in OUTSIDE)])
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


def test_a_lock_file_says_where_a_model_came_from(folder, tmp_path):
    lock = tmp_path / "m.json"
    record = {"folder": str(folder), "files": read_sums(folder), "repository": "a/b", "revision": "f" * 40}
    lock.write_text(json.dumps(record))
    assert (locate(lock).repository, read_lock(lock).revision) == ("a/b", "f" * 40)
    (folder / "config.json").unlink()
    assert read_lock(lock).files == record["files"], "read without looking at the files"


def test_identity_is_of_the_whole_or_of_parts(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    write_sums(tmp_path, ["a/config.json", "b/config.json"])
    before = verify(tmp_path)
    (tmp_path / "b" / "config.json").write_text("{ }")
    write_sums(tmp_path, ["a/config.json", "b/config.json"])
    after = verify(tmp_path)
    assert before.identity("a") == after.identity("a")
    assert before.identity("b") != after.identity("b") and before.identity() != after.identity()


def test_a_part_in_a_subfolder_is_listed_with_it(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    (tmp_path / "unet" / "w.fp16.safetensors").write_bytes(b"")
    names = ["unet/config.json", "unet/w.fp16.safetensors"]
    write_sums(tmp_path, names)
    part = find_part(verify(tmp_path), "unet", "UNet2DConditionModel", "w")
    assert (part.path, part.variant) == (tmp_path / "unet", "fp16")
    write_sums(tmp_path, names[:1])
    with pytest.raises(WeightsError, match=r"w\.fp16\.safetensors is not listed"):
        find_part(verify(tmp_path), "unet", "UNet2DConditionModel", "w")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "../b.safetensors"}}',
             '{"weight_map": {"a": "b.bin"}}', '{"weight_map": {"a": 3}}']
)  # fmt: skip
def test_an_index_names_safetensors_beside_it(tmp_path, text):
    (tmp_path / "i.json").write_text(text)
    with pytest.raises(WeightsError, match=r"i\.json (is no index|does not name)"):
        shards_of(tmp_path / "i.json")


@pytest.mark.parametrize("name", ["a b.json", ".hidden", "a\nb", "", *OUTSIDE])
def test_what_cannot_be_read_again_is_not_written(folder, name):
    before = (folder / SUMS).read_bytes()
    with pytest.raises(InputError, match="cannot list"):
        write_digests(folder, {"config.json": "0" * 64, name: "0" * 64})
    with pytest.raises(InputError, match="cannot list"):
        write_sums(folder, ["config.json", name])
    assert (folder / SUMS).read_bytes() == before


READ_BY_LIBRARIES = (
    "added_tokens.json",
    "chat_template.jinja",
    "additional_chat_templates/tools.jinja",
    "generation_config.json",
    "adapter_config.json",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "tf_model.h5",
    "modeling.py",
    "README.md.json",
)


@pytest.mark.parametrize("subfolder", ["", "tokenizer"])
@pytest.mark.parametrize("name", READ_BY_LIBRARIES)
def test_what_a_library_might_read_must_be_listed(folder, subfolder, name):
    (folder / "tokenizer").mkdir()
    inside = folder / subfolder
    for note in ("README.md", "training.json", "yardstick.json", "samples.png", "loss.csv", ".gitattributes"):
        (inside / note).write_text("note")
    check_alone(verify(folder), subfolder)
    (inside / name).parent.mkdir(exist_ok=True)
    (inside / name).write_text("{}")
    with pytest.raises(WeightsError, match=f"{name} is not listed in the folder's checksums.*remove it"):
        check_alone(verify(folder), subfolder)
    listed = (inside / name).relative_to(folder).as_posix()
    write_sums(folder, ["config.json", "a.safetensors", listed])
    check_alone(verify(folder), subfolder)


def test_a_settings_file_is_missed_without_a_word_of_weights(folder):
    with pytest.raises(WeightsError) as error:
        read_config(verify(folder), "scheduler/scheduler_config.json")
    assert str(error.value).endswith(
        "scheduler must hold and list scheduler_config.json; fetch the model again"
    )
