"""The training loop: exact resumption, averages, budgets, a curve, and losses that are not finite."""

import json

import pytest
import torch

from castex.checkpoint import load
from castex.errors import InputError, Unfinished
from castex.settings.training import TrainingSettings
from castex.training.sitting import sit, write_model
from castex.training.trainer import Trainer, curve, learning_rate_factor
from castex.weights import verify

SETTINGS = TrainingSettings(steps=12, batch=4, learning_rate=0.05, checkpoint_every=4, mixed_precision=False)


class Line:
    """Fit y = 2 x + 1 with noise."""

    name = "line"

    def __init__(self):
        torch.manual_seed(0)
        self.network = torch.nn.Linear(1, 1)

    def networks(self):
        return {"line": self.network}

    def loss(self, step, batch, stream):
        x = torch.randn(batch, 1, generator=stream)
        return (self.network(x) - 2 * x - 1).square().mean()


class Broken(Line):
    """Its loss turns to NaN."""

    def loss(self, step, batch, stream):
        return super().loss(step, batch, stream) * (float("nan") if step == 6 else 1)


def ticking(limit):
    """A clock that passes a sitting's budget after so many looks."""
    looks = iter(range(10**6))
    return lambda: 0.0 if next(looks) < limit else 1e9


def test_an_interrupted_training_ends_with_the_same_bytes(tmp_path):
    whole = Trainer(Line(), SETTINGS, data="x")
    assert whole.run(tmp_path / "a")
    first = Trainer(Line(), SETTINGS, data="x")
    assert not first.run(tmp_path / "b", clock=ticking(10))
    assert 0 < first.step < 12
    second = Trainer(Line(), SETTINGS, data="x")
    assert second.resume(tmp_path / "b") and second.step == first.step
    assert second.run(tmp_path / "b")
    for a, b in zip(whole.networks.parameters(), second.networks.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.averages.parameters(), second.averages.parameters(), strict=True):
        assert torch.equal(a, b)
    assert whole.losses == second.losses and len(whole.losses) == 12
    # The slots may differ, because the interrupted run saved once more.
    left, right = (load(tmp_path / k, settings=whole.identity).tensors for k in "ab")
    assert {left.pop("seconds").numel(), right.pop("seconds").numel()} == {1}
    assert left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_a_checkpoint_of_other_settings_or_data_is_not_taken(tmp_path):
    Trainer(Line(), SETTINGS, data="x").run(tmp_path)
    assert not Trainer(Line(), SETTINGS, data="y").resume(tmp_path)
    assert not Trainer(Line(), SETTINGS.model_copy(update={"seed": 1}), data="x").resume(tmp_path)
    # The budget of a sitting and the machine change no byte.
    assert Trainer(Line(), SETTINGS.model_copy(update={"minutes": 1.0}), data="x").resume(tmp_path)


def test_it_learns_and_the_average_follows(tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 200, "ema_decay": 0.9})
    trainer = Trainer(Line(), settings, data="x")
    trainer.run(tmp_path)
    assert trainer.losses[-1] < trainer.losses[0] / 100
    kept, now = trainer.averages["line"], trainer.networks["line"]
    assert not torch.equal(kept.weight, now.weight)
    assert abs(float(kept.weight) - 2) < 0.1 and abs(float(kept.bias) - 1) < 0.1
    assert not kept.weight.requires_grad


def test_a_loss_that_is_not_finite_stops_before_the_step_is_taken(tmp_path):
    trainer = Trainer(Broken(), SETTINGS, data="x")
    with pytest.raises(InputError, match="loss of line is nan at step 6"):
        trainer.run(tmp_path)
    again = Trainer(Broken(), SETTINGS, data="x")
    assert again.resume(tmp_path) and again.step == 4
    assert all(torch.isfinite(p).all() for p in again.networks.parameters())


def test_the_learning_rate_warms_up_and_decays_to_zero():
    factors = [learning_rate_factor(k, 1000) for k in range(1000)]
    assert factors[0] == 1 / 20 and max(factors) == 1.0
    assert factors[-1] < 1e-4 and factors[510] == pytest.approx(0.5, abs=0.01)


def test_the_curve_is_short_and_means_what_it_says():
    losses = [float(k) for k in range(1000)]
    points = curve(losses)
    assert len(points) == 100 and points[0] == (10, 4.5) and points[-1] == (1000, 994.5)
    assert curve([3.0]) == [(1, 3.0)]


def export_to(trainer):
    def export(folder):
        from castex.files import write_tensors

        write_tensors(folder / "sub/weights.safetensors", trainer.averages["line"].state_dict())

    return export


def test_a_sitting_writes_nothing_until_it_is_finished(tmp_path, capsys):
    short = Trainer(Line(), SETTINGS.model_copy(update={"minutes": 1e-9}), data="x")
    with pytest.raises(Unfinished, match=r"ended at step 1 of 12; run the same command"):
        sit(short, tmp_path / "c", tmp_path / "model", export_to(short))
    assert not (tmp_path / "model").exists()
    again = Trainer(Line(), SETTINGS, data="x")
    sit(again, tmp_path / "c", tmp_path / "model", export_to(again))
    assert "resumed at step 1" in capsys.readouterr().err
    assert set(verify(tmp_path / "model").files) == {"sub/weights.safetensors"}
    record = json.loads((tmp_path / "model/training.json").read_text())
    assert record["steps"] == 12 and record["parameters"] == {"line": 2} and len(record["curve"]) == 12
    assert not (tmp_path / "c").exists()


def test_a_model_folder_is_replaced_as_a_whole(tmp_path):
    def writer(name):
        return lambda folder: (folder / name).write_text("x")

    write_model(tmp_path / "model", writer("old"))
    write_model(tmp_path / "model", writer("new"))
    assert not (tmp_path / "model/old").exists() and (tmp_path / "model/new").exists()

    def failing(folder):
        (folder / "half").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_model(tmp_path / "model", failing)
    assert (tmp_path / "model/new").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_cuda_is_refused_where_there_is_none():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InputError, match="no CUDA device"):
        Trainer(Line(), SETTINGS.model_copy(update={"device": "cuda"}), data="x")
