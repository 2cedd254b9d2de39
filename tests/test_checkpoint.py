"""Checkpoints: the newest valid one wins, a damaged one is never used."""

from __future__ import annotations

import json

import pytest
import torch

from castex.checkpoint import Checkpoint, discard, load, optimiser_tensors, restore_optimiser, save


def store(folder, step, settings="s"):
    save(folder, Checkpoint(step, {"x": torch.full((4,), float(step))}), settings=settings)


def test_newest_of_two_slots(tmp_path):
    assert load(tmp_path, settings="s") is None
    for step in (10, 20, 30):
        store(tmp_path, step)
    found = load(tmp_path, settings="s")
    assert found.step == 30 and torch.equal(found.tensors["x"], torch.full((4,), 30.0))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "sidecar", "no sidecar"])
def test_damage_falls_back_to_the_older_slot(tmp_path, damage):
    for step in (10, 20):
        store(tmp_path, step)
    newest = next(p for p in tmp_path.glob("*.json") if '"step": 20' in p.read_text())
    tensors = newest.with_suffix(".safetensors")
    content = tensors.read_bytes()
    match damage:
        case "flip":
            tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "truncate":
            tensors.write_bytes(content[:-3])
        case "remove":
            tensors.unlink()
        case "sidecar":
            newest.write_text('{"step": ')
        case "no sidecar":
            newest.unlink()
    assert load(tmp_path, settings="s").step == 10


def test_saving_never_sacrifices_the_only_valid_slot(tmp_path):
    """The newer slot is damaged: the next save must replace that one, however high its step is."""
    for step in (100, 500):
        store(tmp_path, step)
    newest = next(p for p in tmp_path.glob("*.json") if '"step": 500' in p.read_text())
    newest.with_suffix(".safetensors").write_bytes(b"cut off")
    store(tmp_path, 150)
    kept = {json.loads(path.read_text())["step"] for path in tmp_path.glob("*.json")}
    assert kept == {100, 150}
    assert load(tmp_path, settings="s").step == 150


def test_another_runs_checkpoint_is_ignored_and_does_not_block_ours(tmp_path):
    for step in (500, 550):
        store(tmp_path, step, settings="other")
    assert load(tmp_path, settings="s") is None
    for step in (10, 20, 30):
        store(tmp_path, step)
        assert load(tmp_path, settings="s").step == step
    slots = {p.read_text() for p in tmp_path.glob("*.json")}
    assert not any("other" in text for text in slots), "both slots belong to the running job"


def test_discard(tmp_path):
    store(tmp_path / "c", 1)
    discard(tmp_path / "c")
    discard(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_optimiser_state_survives(stream):
    def steps(parameter, optimiser, count):
        for _ in range(count):
            optimiser.zero_grad()
            parameter.square().sum().backward()
            optimiser.step()

    start = torch.randn(5, generator=stream)
    straight = torch.nn.Parameter(start.clone())
    steps(straight, torch.optim.Adam([straight], lr=0.1), 7)
    first = torch.nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([first], lr=0.1)
    steps(first, optimiser, 3)
    state = optimiser_tensors(optimiser)
    second = torch.nn.Parameter(first.detach().clone())
    resumed = torch.optim.Adam([second], lr=0.1)
    restore_optimiser(resumed, state | {"unrelated": torch.zeros(1)})
    steps(second, resumed, 4)
    assert torch.equal(straight, second)
