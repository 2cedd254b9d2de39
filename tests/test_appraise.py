"""Seams, baked light and likeness: each number against textures whose answer is known."""

from __future__ import annotations

import json

import pytest
import torch
from surfaces import constant_light, sphere
from test_judge import Oracle
from test_recognise import flat

import castex.judge
from castex.appraise import baked_light, clip_score, feature_distance, lookup, seam_energy, shared_edges
from castex.cli import main
from castex.files import write_json
from castex.light import write_light
from castex.maps_file import write_maps
from castex.mesh import write_mesh
from castex.settings.render import DressSettings
from castex.training.materials import material_maps, texel_points

SIZE = 128


class Means(Oracle):
    """A judge whose features are the mean colours, and who reads "red", "green" and "blue" as such."""

    __slots__ = ()

    def image_features(self, images):
        return torch.nn.functional.normalize(images.mean((2, 3)), dim=1)

    def text_features(self, texts):
        return torch.tensor([[float(word in text) for word in ("red", "green", "blue")] for text in texts])


def of_points(mesh, function):
    """An albedo that is a function of place and normal, the same on both sides of every seam."""
    points = texel_points(mesh, SIZE)
    albedo = torch.zeros(SIZE, SIZE, 3)
    albedo[points.filled] = function(points.position, points.normal)[:, None].expand(-1, 3).float()
    return albedo


def test_edges_are_found_by_place():
    mesh = sphere(12, 12)
    left, right, middle = shared_edges(mesh)
    assert left.shape == right.shape == middle.shape == (len(left), 2, 2)
    # A closed surface: three halves per triangle make one and a half edges.
    seam = (left - right).abs().amax((1, 2)) > 1e-6
    assert 0 < int(seam.sum()) < len(seam) / 4
    # Ends are in one order: across the wrap of a sphere v agrees, u does not.
    wrapped = ((left[..., 0] - right[..., 0]).abs() > 0.5).all(1)
    assert int(wrapped.sum()) >= 8
    torch.testing.assert_close(left[wrapped][..., 1], right[wrapped][..., 1])


def test_a_step_at_the_seam_is_seen_and_a_smooth_texture_has_none():
    mesh = sphere(24, 24)
    u = (torch.arange(SIZE) + 0.5) / SIZE
    ramp = u.expand(SIZE, SIZE)[..., None].expand(-1, -1, 3).contiguous()
    across, within = seam_energy(mesh, ramp)
    assert across > 0.3 and across > 3 * within
    smooth, elsewhere = seam_energy(mesh, of_points(mesh, lambda p, n: 0.5 + 0.2 * p[:, 1]))
    assert smooth < 0.03 and elsewhere < 0.03
    assert seam_energy(mesh, torch.full((SIZE, SIZE, 3), 0.3)) == pytest.approx((0, 0), abs=1e-6)


def test_light_in_the_albedo_is_told_from_a_pattern():
    mesh = sphere(24, 24)
    lit = of_points(mesh, lambda p, n: 0.4 + 0.3 * n[:, 1].clamp_min(0))
    points = texel_points(mesh, SIZE)
    checks = material_maps(points, "checkered", "red", seed=0).albedo
    assert baked_light(mesh, lit) > 0.9 > 0.35 > baked_light(mesh, checks)
    assert baked_light(mesh, torch.full((SIZE, SIZE, 3), 0.5)) == 0


def test_lookups_are_between_texel_centres():
    albedo = torch.arange(4.0).view(1, 4, 1).expand(4, 4, 3).contiguous()
    found = lookup(albedo, torch.tensor([[[0.125, 0.5], [0.25, 0.1], [0.0, 0.9]]]))
    torch.testing.assert_close(found[0, :, 0], torch.tensor([0.0, 0.5, 0.0]))


def test_likeness_to_prompt_and_to_other_pictures():
    red, blue = (torch.tensor(c).view(1, 3, 1, 1).expand(2, 3, 8, 8) for c in ([1.0, 0, 0], [0, 0, 1.0]))
    judge = Means()
    assert clip_score(judge, red, "a red ball") == pytest.approx(100)
    assert clip_score(judge, blue, "a red ball") == 0
    assert feature_distance(judge, red, red) == 0
    assert feature_distance(judge, red, blue) == pytest.approx(2**0.5)


def test_the_verb_writes_ours_beside_controls(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(castex.judge, "load_judge", lambda path: Means())
    mesh = sphere(12, 12)
    write_mesh(tmp_path / "mesh.safetensors", mesh)
    write_light(tmp_path / "light.safetensors", constant_light())
    write_maps(tmp_path / "maps.safetensors", flat([0.8, 0.05, 0.05], size=32))
    dress = DressSettings(asset="ball", material="plain", colour="red", size=32).model_dump()
    write_json(tmp_path / "dress.json", dress)
    place = {name: str(tmp_path / f"{name}.safetensors") for name in ("mesh", "light", "maps")}
    options = [word for name, path in place.items() for word in (f"--{name}", path)]
    options += ["--dress", str(tmp_path / "dress.json"), "--judge", "x", "--prompt", "a red ball"]
    options += ["--output", str(tmp_path / "found.json")]
    assert main(["appraise", *options]) == 0
    assert "clip_score" in capsys.readouterr().out
    scores = json.loads((tmp_path / "found.json").read_text())["scores"]
    assert set(scores) == {"ours", "control", "same_material"}
    assert scores["ours"]["clip_score"] > scores["control"]["clip_score"]
    assert scores["ours"]["feature_distance"] < scores["control"]["feature_distance"]
    write_json(tmp_path / "dress.json", dress | {"material": None, "colour": None})
    assert main(["appraise", *options]) == 2
