"""Shipping: a model goes out with its card when its yardstick holds, and never otherwise."""

import pytest
import torch

from castex.errors import WeightsError
from castex.files import read_json, write_json, write_tensors
from castex.settings.family import FamilySettings
from castex.training.family import ABOUT, card, ship
from castex.weights import verify, write_sums

RECORD = {
    "name": "if_m",
    "settings": {"batch": 64, "learning_rate": 0.001, "seed": 0},
    "data": "0123456789abcdef",
    "steps": 2400,
    "minutes": 41.5,
    "machine": "CPU, 1 thread(s), x86_64",
    "torch": "2.13.0",
    "parameters": {"unet": 1234567},
    "curve": [[k * 24, 1.0 / (k + 1)] for k in range(1, 101)],
}


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "train" / "if_m"
    write_tensors(folder / "unet/diffusion_pytorch_model.safetensors", {"a": torch.ones(3).half()})
    write_json(folder / "model_index.json", {"_class_name": "IFPipeline"})
    write_sums(folder, ["unet/diffusion_pytorch_model.safetensors", "model_index.json"])
    write_json(folder / "training.json", RECORD)
    (folder / "samples.png").write_bytes(b"picture")
    yardstick = {
        "files": verify(folder).files,
        "rows": [{"variant": "seen", "metric": "accuracy_colour", "value": 0.98765, "size": 32}],
        "required": 0.85,
        "passed": True,
    }
    write_json(folder / "yardstick.json", yardstick)
    return folder


def test_a_model_is_shipped_whole_with_its_card(trained, tmp_path):
    output = tmp_path / "data/mini/if_m"
    write_tensors(output / "old/leftover.safetensors", {"b": torch.zeros(1)})
    write_sums(output, ["old/leftover.safetensors"])
    ship(trained, output)
    assert verify(output).files == verify(trained).files
    assert not (output / "old/leftover.safetensors").exists(), "an older model of this name is replaced"
    text = (output / "README.md").read_text()
    words = " ".join(text.split())
    assert "unet 1,234,567" in words and "2400 steps of 64 pictures" in words and "41.5 minutes" in words
    assert "| accuracy_colour (seen, size 32) | 0.9877 |" in text and "| required | 0.85 |" in text
    assert "three variance channels" in text
    assert text.count("\n| ") >= 12, "the loss curve is there"
    assert (output / "samples.png").read_bytes() == b"picture"


def test_nothing_else_is_ever_removed(trained, tmp_path):
    with pytest.raises(WeightsError, match=r"would hold if_m; name its folder"):
        ship(trained, tmp_path / "data/mini")
    output = tmp_path / "somewhere/if_m"
    output.mkdir(parents=True)
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(WeightsError, match=r"holds other files, such as thesis\.tex"):
        ship(trained, output)
    write_sums(output, [])
    with pytest.raises(WeightsError, match=r"thesis\.tex, which no model of ours left there"):
        ship(trained, output)
    assert (output / "thesis.tex").read_text() == "years of work"


def test_what_does_not_reach_its_yardstick_stays(trained, tmp_path):
    write_json(trained / "yardstick.json", read_json(trained / "yardstick.json") | {"passed": False})
    with pytest.raises(WeightsError, match="not shipped: it does not reach its yardstick"):
        ship(trained, tmp_path / "out/if_m")
    assert not (tmp_path / "out").exists()


def test_a_yardstick_of_other_weights_counts_for_nothing(trained, tmp_path):
    write_json(trained / "model_index.json", {"_class_name": "Other"})
    with pytest.raises(WeightsError):
        ship(trained, tmp_path / "out/if_m")
    write_sums(trained, ["unet/diffusion_pytorch_model.safetensors", "model_index.json"])
    with pytest.raises(WeightsError, match="measured other weights"):
        ship(trained, tmp_path / "out/if_m")
    (trained / "yardstick.json").unlink()
    with pytest.raises(WeightsError, match="was not measured"):
        ship(trained, tmp_path / "out/if_m")


@pytest.fixture
def latent(tmp_path):
    """A trained latent model, and the folder where the autoencoder in it was trained."""
    autoencoder, folder = tmp_path / "train/sd_vae", tmp_path / "train/sd"
    for place, name in ((autoencoder, "config.json"), (folder, "vae/config.json"), (folder, "unet/a.json")):
        write_json(place / name, {"channels": 4})
    for place, score in ((autoencoder, {"psnr_db": {"astronaut": {"margin": 2.5}}}), (folder, {})):
        files = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
        write_sums(place, files)
        write_json(place / "yardstick.json", {"files": verify(place).files, "passed": True, **score})
        write_json(place / "training.json", RECORD)
    return folder, autoencoder


def test_an_autoencoder_goes_out_with_its_model(latent, tmp_path):
    folder, autoencoder = latent
    output = tmp_path / "out/sd"
    for _ in range(2):  # a second time over the first
        ship(folder, output, autoencoder)
    assert read_json(output / "vae/yardstick.json") == read_json(autoencoder / "yardstick.json")
    assert verify(output).files == verify(folder).files
    text = (output / "README.md").read_text()
    assert "## Its autoencoder" in text and "| psnr_db astronaut margin | 2.5 |" in text
    with pytest.raises(WeightsError, match="say with --autoencoder where it was trained"):
        ship(folder, output)


def test_an_autoencoder_must_be_the_one_inside_and_good(latent, tmp_path):
    folder, autoencoder = latent
    told = read_json(autoencoder / "yardstick.json")
    write_json(autoencoder / "yardstick.json", told | {"passed": False})
    with pytest.raises(WeightsError, match=r"sd_vae is not shipped.*change `train\.sd_vae`"):
        ship(folder, tmp_path / "out/sd", autoencoder)
    write_json(autoencoder / "config.json", {"channels": 5})
    write_sums(autoencoder, ["config.json"])
    write_json(autoencoder / "yardstick.json", told | {"files": verify(autoencoder).files})
    with pytest.raises(WeightsError, match="has another autoencoder than"):
        ship(folder, tmp_path / "out/sd", autoencoder)
    assert not (tmp_path / "out").exists()


def test_only_the_family_is_shipped(trained, tmp_path):
    other = trained.rename(trained.parent / "t5")
    with pytest.raises(WeightsError, match="no model of the mini family"):
        ship(other, tmp_path / "out")


def test_the_verb_says_what_it_shipped(trained, tmp_path, capsys):
    from castex.cli import main

    assert main(["ship_models", "--model", str(trained), "--output", str(tmp_path / "out/if_m")]) == 0
    assert "MB of weights" in capsys.readouterr().out


def test_every_model_that_is_shipped_has_settings():
    assert set(ABOUT) <= set(FamilySettings.model_fields)


def test_cards_wrap_and_name_the_model():
    for name in ABOUT:
        text = card(name, RECORD | {"name": name}, {"passed": True})
        assert text.startswith(f"# Mini model `{name}`")
        assert max(len(line) for line in text.splitlines()) <= 112
        assert ("variance channels" in text) == name.startswith("if_")
