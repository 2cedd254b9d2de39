"""Drift and detail: what they answer to pictures whose answer is known, and the verb on a real stage."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from surfaces import constant_light, sphere

from castex.anchoring import detail_distance, drift, high_spectrum, measure, noisy
from castex.cli import main
from castex.config import load_config
from castex.errors import InputError
from castex.files import sha256, write_json
from castex.light import write_light
from castex.maps import grey_maps
from castex.maps_file import read_maps, write_maps
from castex.mesh import write_mesh
from castex.settings.render import DressSettings
from castex.training.materials import material_maps, texel_points

BASE, SIZE = 16, 64


def stripes(waves, size=SIZE, angle=0.0):
    x = torch.arange(size).float() / size
    wave = torch.sin(2 * torch.pi * waves * (x + angle)) * 0.2 + 0.5
    return wave.expand(2, 3, size, size).contiguous()


def test_drift_sees_colours_and_no_detail():
    flat = torch.full((2, 3, SIZE, SIZE), 0.5)
    assert drift(flat, flat, BASE) == 0
    assert drift(flat + 0.1, flat, BASE) == pytest.approx(0.1, rel=1e-5)
    fine = flat + 0.2 * (torch.arange(SIZE) % 2 - 0.5)
    assert drift(fine, flat, BASE) < 0.01


def test_detail_is_the_spectrum_and_not_its_phase():
    known = stripes(20)
    assert detail_distance(known, known, BASE) == 0
    moved = detail_distance(stripes(20, angle=0.013), known, BASE)
    other = detail_distance(stripes(11), known, BASE)
    assert 3 * moved < other and other > 5
    # What differs in the low waves alone is no detail.
    slow = F.interpolate(torch.rand(2, 3, 3, 3), SIZE, mode="bicubic") * 0.1
    assert detail_distance(known + slow, known, BASE) < 2
    assert high_spectrum(torch.zeros(1, 3, SIZE, SIZE), BASE).isfinite().all()
    with pytest.raises(InputError, match="too little detail beyond 64 px"):
        high_spectrum(known, 64)


def test_white_noise_of_the_same_energy_is_no_detail():
    known, start = stripes(20), torch.full((2, 3, SIZE, SIZE), 0.5)
    stream = torch.Generator().manual_seed(0)
    found = noisy(start, known, BASE, stream=stream)

    def energy(x):
        return float((x - F.interpolate(F.interpolate(x, BASE, mode="area"), SIZE)).square().mean())

    assert energy(found) == pytest.approx(energy(known), rel=0.15)
    assert detail_distance(found, known, BASE) > 3 * detail_distance(stripes(20, angle=0.01), known, BASE)
    # Where the start has more than enough, nothing is added.
    assert torch.equal(noisy(known, start, BASE, stream=stream), known)


def test_a_stage_that_finds_the_material_comes_closer_in_detail_than_noise():
    mesh, light = sphere(24, 24), constant_light()
    points = texel_points(mesh, 128)
    truth, other = (material_maps(points, "checkered", "red", seed=k) for k in range(2))
    plain = material_maps(points, "plain", "red", seed=0)
    grey = grey_maps(128)
    found = measure(mesh, light, {0: plain, 5: truth, 9: grey}, truth, other, base=BASE, size=SIZE)
    rows = {row["step"]: row for row in found.rows}
    assert list(rows) == [0, 5, 9]
    assert rows[0]["drift"] == 0 and rows[5]["detail"] == 0
    assert min(rows[9]["drift"], rows[5]["drift"]) > 0.1
    controls = found.controls
    assert controls["same_material"] < controls["noise"] and controls["start"] == rows[0]["detail"]
    assert controls["same_material"] < controls["start"]
    assert set(found.pictures) == {"truth", "step_000000", "step_000005", "step_000009"}
    assert torch.equal(found.pictures["truth"], found.pictures["step_000005"])
    with pytest.raises(InputError, match="they are step 0"):
        measure(mesh, light, {5: truth}, truth, other, base=BASE, size=SIZE)


@pytest.fixture
def stage(tiny_models, tmp_path):
    """An upsampling stage with one snapshot, and the options of `castex drift` for it."""
    settings = load_config().variants["castex-xl-l"].stage.model_dump(mode="json")
    settings["adam"] |= {"steps": 3, "snapshots": [2]}
    settings["texture"] |= {"size": 32}
    settings["render_size"] = 64
    settings["upsampling"]["low_resolution"]["base_size"] = BASE
    write_json(tmp_path / "stage.json", settings)
    write_json(
        tmp_path / "dress.json",
        DressSettings(asset="ball", material="brick", colour="red", size=32).model_dump(),
    )
    write_mesh(tmp_path / "mesh.safetensors", sphere(12, 12))
    write_light(tmp_path / "light.safetensors", constant_light())
    write_maps(tmp_path / "base.safetensors", grey_maps(32))
    model = str(tiny_models / "if_ii")
    place = {name: str(tmp_path / f"{name}.safetensors") for name in ("mesh", "light", "base", "embeddings")}
    embed = ["--prompt", "a red ball", "--output", place["embeddings"]]
    assert main(["embed", "--model", model, *embed]) == 0
    options = [word for name, path in place.items() for word in (f"--{name}", path)]
    options += ["--settings", str(tmp_path / "stage.json"), "--model", model, "--prompt", "a red ball"]
    assert main(["synthesise", *options, "--asset", "ball", "--output", str(tmp_path / "made")]) == 0
    shared = ["--mesh", place["mesh"], "--light", place["light"], "--base", place["base"]]
    shared += ["--result", str(tmp_path / "made" / "result.json"), "--dress", str(tmp_path / "dress.json")]
    return [*shared, "--output", str(tmp_path / "drift.json"), "--pictures", str(tmp_path / "p.safetensors")]


def test_the_verb_measures_every_snapshot(stage, tmp_path, capsys):
    assert main(["drift", *stage]) == 0
    found = json.loads((tmp_path / "drift.json").read_text())
    assert [row["step"] for row in found["rows"]] == [0, 2, 3] and found["source"] == "anchored"
    assert found["rows"][0]["drift"] == 0 < found["rows"][2]["drift"]
    assert set(load_file(tmp_path / "p.safetensors")) == {
        "truth",
        "step_000000",
        "step_000002",
        "step_000003",
    }
    before = sha256(tmp_path / "drift.json")
    assert main(["drift", *stage]) == 0 and sha256(tmp_path / "drift.json") == before
    final = read_maps(tmp_path / "made" / "maps.safetensors")
    assert final.albedo.shape[0] == 32
    write_json(tmp_path / "dress.json", DressSettings(asset="ball").model_dump())
    assert main(["drift", *stage]) == 2
    assert "names no material to compare with" in capsys.readouterr().err
