"""The GPU route of training: its settings are valid, its commands are ones that the verbs understand."""

import argparse
import importlib
import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from castex.config import load_config
from castex.settings.family import FamilySettings
from castex.settings.training import CorpusSettings


@pytest.fixture
def script(root):
    path = root / "workflow/scripts/gpu_train.py"
    found = importlib.util.spec_from_file_location("gpu_train", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_model_of_the_family_is_trained_once(script):
    models = [model for wave in script.WAVES for model in wave]
    assert sorted(models) == sorted(FamilySettings.model_fields)


def test_the_overlay_changes_steps_and_device_and_keeps_shapes(script, tmp_path):
    script.write_settings(tmp_path)
    family = load_config().train
    for name in FamilySettings.model_fields:
        kind = type(getattr(family, name))
        told = kind.model_validate(json.loads((tmp_path / f"settings/{name}.json").read_text()))
        own, training = getattr(family, name), getattr(told, "training", told)
        if name != "t5":
            before = getattr(own, "training", own)
            assert training.device == "cuda"
            assert training.steps * training.batch > before.steps * before.batch
        for part in ("shape", "size", "base", "crop"):
            assert getattr(told, part, None) == getattr(own, part, None)
    assert json.loads((tmp_path / "settings/corpus.json").read_text()) == CorpusSettings().model_dump(
        mode="json"
    )


def test_every_command_is_understood_by_its_verb(script, tmp_path):
    for name in FamilySettings.model_fields:
        for verb, *options in script.commands(name, tmp_path):
            parser = argparse.ArgumentParser(exit_on_error=False)
            importlib.import_module(f"castex.cli.{verb}").add_arguments(parser)
            parsed = parser.parse_args(options)
            assert str(parsed.output).startswith(str(tmp_path))


def test_a_wave_runs_side_by_side_and_reports_what_failed(script, tmp_path, monkeypatch):
    done = []

    class Process:
        def __init__(self, verb):
            self.verb, self.returncode = verb, int("if_m" in " ".join(verb))

        def poll(self):
            done.append(self.verb[0])
            return self.returncode

    monkeypatch.setattr(script, "start", lambda verb, log: Process(verb))
    monkeypatch.setattr(script.time, "sleep", lambda seconds: None)
    failed = script.train(["if_m", "if_xl", "sd_vae"], tmp_path, deadline=float("inf"))
    assert failed == ["if_m"]
    assert done.count("train_sd_vae") >= 1 and done.count("encode_corpus") >= 1
    assert done.index("train_sd_vae") < done.index("encode_corpus")


def test_what_does_not_end_in_time_is_stopped(script, tmp_path, monkeypatch):
    class Endless:
        returncode = None

        def poll(self):
            return self.returncode

        def terminate(self):
            self.returncode = -15

        def wait(self, timeout=None):
            return self.returncode

    monkeypatch.setattr(script, "start", lambda verb, log: Endless())
    monkeypatch.setattr(script.time, "sleep", lambda seconds: None)
    assert script.train(["clip"], tmp_path, deadline=0.0) == ["clip"]


def test_what_is_there_is_not_made_again_and_what_is_missing_behind_it_is(script, tmp_path, monkeypatch):
    done = []

    class Process:
        returncode = 0

        def poll(self):
            return 0

    monkeypatch.setattr(script, "start", lambda verb, log: done.append(verb[0]) or Process())
    monkeypatch.setattr(script.time, "sleep", lambda seconds: None)
    (tmp_path / "sd_vae").mkdir()
    (tmp_path / "sd_vae/training.json").write_text("{}")
    assert script.train(["sd_vae"], tmp_path, float("inf")) == []
    assert done == ["encode_corpus"], "an interrupted encoding is not forgotten"


def test_a_model_of_other_settings_is_not_taken_for_finished(script, tmp_path):
    script.write_settings(tmp_path)
    (tmp_path / "clip").mkdir()
    script.write_settings(tmp_path)
    told = json.loads((tmp_path / "settings/clip.json").read_text())
    told["training"]["steps"] += 1
    (tmp_path / "settings/clip.json").write_text(json.dumps(told))
    with pytest.raises(SystemExit, match="was trained with other settings"):
        script.write_settings(tmp_path)


def test_collected_models_are_measured_and_not_trained_again(script, root, tmp_path):
    from snakemake_runs import planned

    checkout, made = tmp_path / "checkout", tmp_path / "made"
    for name in ("config", "data", "figures", "profiles", "workflow", "src"):
        shutil.copytree(root / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "Snakefile", checkout / "Snakefile")
    overlay = ("--configfile", "config/gpu_training.yaml")
    assert planned(checkout, "train_mini", *overlay)["train_base"] == 2
    script.write_settings(made)
    for model in FamilySettings.model_fields:
        for verb in script.commands(model, made):
            folder = Path(verb[verb.index("--output") + 1])
            folder.mkdir(exist_ok=True)
            for name in ("SHA256SUMS", "training.json", "codes.json", "codes.safetensors", "corpus.json"):
                (folder / name).write_text("{}")
    (made / "corpus").mkdir(exist_ok=True)
    (made / "corpus/corpus.json").write_text("{}")
    assert script.collect(made, checkout / "results/train") == 0
    left = planned(checkout, "train_mini", *overlay)
    # The autoencoder of Figure 2 is no part of the GPU's family.
    assert {name for name in left if name.startswith(("train_", "encode"))} == {"train_vae", "train_mini"}
    assert left["measure_samples"] == 2


def test_the_corpus_is_made_from_its_own_meshes(script):
    names = [path.stem for path in script.corpus_meshes()]
    assert len(names) == 13 and "vase" in names and not {"mug", "house", "rocket"} & set(names)
    assert all(path.is_file() for path in script.corpus_meshes())
