"""The toy experiment on a mesh: what is measured, on which texels, and that a perfect score finds its way."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest
import torch
from synthesis import KNOWN, TEXELS, settings, task

import castex.recover
from castex.cascade import LatentSpace, PixelSpace
from castex.cli import main
from castex.errors import IncompleteResults, InputError
from castex.files import write_json
from castex.light import write_light
from castex.maps import grey_maps
from castex.maps_file import read_maps, write_maps
from castex.mesh import write_mesh
from castex.recover import (
    known_maps,
    recover,
    recovered_pictures,
    recovery_scores,
    seen_texels,
    space_of,
    unseen,
)
from castex.shot import fixed_shot
from castex.tally import recovery_rows


class Halving:
    """A codec that keeps the mean of 2 x 2 pixels."""

    identity = "halving"

    def encode(self, image, generator=None):
        return torch.nn.functional.avg_pool2d(image, 2)

    def decode(self, code):
        return torch.nn.functional.interpolate(code, scale_factor=2).clamp(0, 1)


def arm(kind="base", **changes):
    chosen = settings(**changes)
    plain = chosen.distil.model_copy(update={"weight": "constant"})
    return chosen.model_copy(update={"kind": kind, "distil": plain})


def test_the_space_of_an_arm():
    assert space_of(arm(), None) == PixelSpace(32)
    codec = Halving()
    assert space_of(arm("latent"), codec) == LatentSpace(32, codec, "mean")
    with pytest.raises(InputError, match="needs --vae"):
        space_of(arm("latent"), None)
    with pytest.raises(InputError, match="no point-mass score"):
        space_of(arm("upsampler"), None)


@pytest.mark.parametrize("kind", ["base", "latent"])
def test_a_perfect_score_brings_maps_and_views_closer(kind, tmp_path):
    chosen = task(arm(kind, steps=40))
    codec = Halving() if kind == "latent" else None
    made = recover(chosen, KNOWN, codec, checkpoints=tmp_path)
    scores = recovery_scores(chosen, made.maps, KNOWN, codec)
    assert scores["psnr_views"] > scores["psnr_views_start"] + 3
    assert scores["psnr_albedo"] > scores["psnr_albedo_start"] + 1
    assert ("psnr_views_ceiling" in scores) == (kind == "latent")
    if codec is not None:
        assert scores["psnr_views_decoded"] <= scores["psnr_views_ceiling"] + 1


def test_the_known_maps_score_the_ceiling_and_grey_ones_the_start():
    chosen = task(arm("latent"))
    scores = recovery_scores(chosen, KNOWN, KNOWN, Halving())
    learned = chosen.settings.texture.learned
    assert all(scores[f"psnr_{name}"] == 200 for name in (*learned, "views"))
    assert scores["psnr_views_decoded"] == scores["psnr_views_ceiling"] < 60
    grey = recovery_scores(chosen, grey_maps(TEXELS), KNOWN, Halving())
    assert grey["psnr_albedo"] == grey["psnr_albedo_start"] == scores["psnr_albedo_start"] < 20


def test_only_texels_that_the_views_show_are_scored(monkeypatch):
    """With one camera the far side of the ball counts for nothing."""
    chosen = task(arm())
    render, shot = unseen(chosen)[0], fixed_shot([0.0], [0.0])
    monkeypatch.setattr(castex.recover, "unseen", lambda _: (render, shot))
    seen = seen_texels(render, shot, KNOWN)
    assert seen.any() and not seen.all()
    hidden = KNOWN.albedo.clone()
    hidden[~seen] = 0
    changed = dataclasses.replace(KNOWN, albedo=hidden)
    assert (render(changed, shot) - render(KNOWN, shot)).abs().mean() < 2e-3
    assert recovery_scores(chosen, changed, KNOWN, None)["psnr_albedo"] == 200
    hidden[seen] = 0
    assert recovery_scores(chosen, changed, KNOWN, None)["psnr_albedo"] < 20


def test_pictures_of_the_figure():
    pictures = recovered_pictures(task(arm("latent")), grey_maps(TEXELS), KNOWN, Halving())
    assert set(pictures) == {"known_view", "known_albedo", "found_view", "found_albedo", "found_decoded"}
    assert pictures["found_view"].shape == (1, 3, 32, 32)
    assert pictures["known_albedo"].shape == (1, 3, TEXELS, TEXELS)
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in pictures.values())


def test_maps_of_another_size_are_refused():
    assert known_maps(KNOWN, arm()) is KNOWN
    with pytest.raises(InputError, match="8 x 8 texels and the arm learns 16 x 16"):
        known_maps(grey_maps(8), arm())


@pytest.fixture
def files(tmp_path):
    """What the verb reads."""
    chosen = task(arm(steps=3))
    write_json(tmp_path / "arm.json", chosen.settings.model_dump(mode="json"))
    write_mesh(tmp_path / "mesh.safetensors", chosen.mesh)
    write_light(tmp_path / "light.safetensors", chosen.light)
    write_maps(tmp_path / "known.safetensors", KNOWN)
    return tmp_path


def typed(files, *more):
    paths = {"settings": "arm.json", "mesh": "mesh.safetensors", "light": "light.safetensors"}
    given = [word for name, file in paths.items() for word in (f"--{name}", str(files / file))]
    return ["recover", *given, "--known", str(files / "known.safetensors"), "--arm", "pixel-explicit",
            "--asset", "ball", "--output", str(files / "out"), *more]  # fmt: skip


def test_the_verb_writes_rows_for_the_exhibit(files, capsys):
    assert main(typed(files)) == 0
    assert "psnr_albedo" in capsys.readouterr().out
    assert read_maps(files / "out/maps.safetensors").albedo.shape == (TEXELS, TEXELS, 3)
    assert len(pd.read_csv(files / "out/trace.csv")) == 2 and not (files / "out/.checkpoints").exists()
    rows = pd.DataFrame(recovery_rows(files / "out/result.json"))
    assert set(rows["variant"]) == {"ours", "start"} and set(rows["method"]) == {"pixel-explicit"}
    assert len(rows[rows["metric"] == "psnr_albedo"]) == 2 and not rows["metric"].str.endswith("_start").any()
    first = (files / "out/maps.safetensors").read_bytes()
    assert main(typed(files)) == 0
    assert (files / "out/maps.safetensors").read_bytes() == first


def test_a_result_without_scores_is_named(files, capsys):
    path = files / "result.json"
    path.write_text(json.dumps({"arm": "a", "asset": "b", "seed": 0, "scores": {}}))
    with pytest.raises(IncompleteResults, match="holds no scores"):
        recovery_rows(path)
    told = json.loads((files / "arm.json").read_text()) | {"kind": "latent"}
    (files / "arm.json").write_text(json.dumps(told))
    assert main(typed(files)) == 2 and "needs --vae" in capsys.readouterr().err
