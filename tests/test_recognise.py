"""Recognition of a texture: the judge sees the object from eight sides, and a grey one as the control."""

from __future__ import annotations

import json

import pytest
import torch
from surfaces import constant_light, sphere
from test_judge import Oracle

import castex.judge
from castex.cli import main
from castex.errors import InputError
from castex.files import write_json
from castex.light import write_light
from castex.maps import TextureMaps
from castex.maps_file import write_maps
from castex.mesh import write_mesh
from castex.recognise import AZIMUTHS, pictures_of, recognised, unseen_shot

PROMPT = "a red striped ball"


def flat(albedo, size=16):
    def filled(values):
        return torch.tensor(values).expand(size, size, len(values)).contiguous()

    return TextureMaps(filled(albedo), filled([1.0]), filled([0.0]), filled([0.0, 0.0, 1.0]))


class Reddish(Oracle):
    """Calls what is reddish red and striped, and all else blue and plain."""

    __slots__ = ()

    def similarities(self, images, texts):
        red = images[:, 0].mean((1, 2)) > 1.1 * images[:, 2].mean((1, 2))
        said_red = torch.tensor([("red" in text.split()) or ("striped" in text) for text in texts])
        said_blue = torch.tensor([("blue" in text.split()) or ("plain" in text) for text in texts])
        return torch.where(red[:, None], 9.0 * said_red, 9.0 * said_blue)


def test_the_cameras_differ_and_see_the_whole_object():
    shot = unseen_shot()
    assert len(shot) == len(AZIMUTHS) == 8 and len(set(shot.azimuth.tolist())) == 8
    pictures = pictures_of(sphere(12, 12), flat([0.8, 0.1, 0.1]), constant_light())
    assert pictures.shape == (8, 3, 128, 128) and pictures.min() >= 0 and pictures.max() <= 1
    corner = torch.tensor([0.5, 0.5, 0.5])
    assert torch.allclose(pictures[:, :, 0, 0], corner.expand(8, 3))


def test_a_right_texture_is_recognised_and_the_grey_object_is_not():
    mesh, light = sphere(12, 12), constant_light()
    found = recognised(Reddish(), mesh, flat([0.8, 0.05, 0.05]), light, PROMPT)
    rows = {(row["variant"], row["metric"]): row["value"] for row in found["rows"]}
    assert rows["ours", "accuracy_colour"] == rows["ours", "accuracy_material"] == 1
    assert rows["control", "accuracy_colour"] == rows["control", "accuracy_material"] == 0
    assert found["named"] == [{"colour": "red", "material": "striped"}] * 8
    wrong = recognised(Reddish(), mesh, flat([0.05, 0.05, 0.8]), light, PROMPT)
    assert [row["value"] for row in wrong["rows"]] == [0] * 6


def test_a_prompt_that_no_judge_can_check_is_refused():
    with pytest.raises(InputError, match="'a fine vase' names no colour and no material"):
        recognised(Reddish(), sphere(12, 12), flat([0.5] * 3), constant_light(), "a fine vase")


def test_the_verb(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(castex.judge, "load_judge", lambda path: Reddish())
    write_mesh(tmp_path / "mesh.safetensors", sphere(12, 12))
    write_maps(tmp_path / "maps.safetensors", flat([0.8, 0.05, 0.05]))
    write_light(tmp_path / "light.safetensors", constant_light())
    write_json(tmp_path / "judge.json", {})
    paths = [
        word
        for name, file in (("mesh", "mesh.safetensors"), ("maps", "maps.safetensors"),
                           ("light", "light.safetensors"), ("judge", "judge.json"), ("output", "o.json"))
        for word in (f"--{name}", str(tmp_path / file))
    ]  # fmt: skip
    assert main(["recognise", *paths, "--prompt", PROMPT]) == 0
    assert "control  accuracy_colour    0.000" in capsys.readouterr().out
    assert json.loads((tmp_path / "o.json").read_text())["judge"] == "oracle"
