"""The pictures of one step, and Figure 1 made of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from surfaces import constant_light, sphere

import pipeline
from _save import save
from castex.cli import main
from castex.config import load_config
from castex.errors import InputError
from castex.files import write_json
from castex.light import write_light
from castex.maps import grey_maps
from castex.mesh import write_mesh

MAPS = {"albedo", "roughness", "metallic", "normal"}
STEP = {"render", "sample", "noisy", "predicted", "gradient"}


@pytest.fixture(scope="module")
def stages(tiny_models, tmp_path_factory):
    """Both stages on a ball, and the options of `castex dissect` for each."""
    folder = tmp_path_factory.mktemp("stages")
    torch.set_num_threads(1)
    write_mesh(folder / "mesh.safetensors", sphere(12, 12))
    write_light(folder / "light.safetensors", constant_light())
    place = {name: str(folder / f"{name}.safetensors") for name in ("mesh", "light", "embeddings")}
    embed = ["--prompt", "a red ball", "--output", place["embeddings"]]
    assert main(["embed", "--model", str(tiny_models / "if_ii"), *embed]) == 0
    options = {}
    for method, model, side in (("castex-m", "if_m", 48), ("castex-m-l", "if_ii", 64)):
        settings = load_config().variants[method].stage.model_dump(mode="json")
        settings["adam"]["steps"], settings["texture"]["size"], settings["render_size"] = 2, 32, side
        settings["upsampling"]["low_resolution"]["base_size"] = 16
        write_json(folder / f"{method}.json", settings)
        shared = [word for name, path in place.items() for word in (f"--{name}", path)]
        shared += ["--model", str(tiny_models / model)]
        if method == "castex-m-l":
            shared += ["--base", str(made / "maps.safetensors")]
        made = folder / method / "ball" / "seed0"
        run = ["--settings", str(folder / f"{method}.json"), "--prompt", "a red ball", "--asset", "ball"]
        assert main(["synthesise", *shared, *run, "--output", str(made)]) == 0
        out = ["--result", str(made / "result.json"), "--output", str(made / "dissected.safetensors")]
        options[method] = (made, [*shared, *out])
    return options


def test_every_picture_between_maps_and_gradient(stages):
    made, options = stages["castex-m"]
    assert main(["dissect", *options]) == 0
    found = load_file(made / "dissected.safetensors")
    assert set(found) == MAPS | STEP
    assert all(
        picture.shape[0] == 3 and picture.min() >= 0 and picture.max() <= 1 for picture in found.values()
    )
    sides = {name: picture.shape[-1] for name, picture in found.items()}
    assert (sides["albedo"], sides["render"], sides["sample"], sides["gradient"]) == (32, 48, 32, 48)
    # The noise is seen, and there is a gradient.
    assert np.abs(found["noisy"] - found["sample"]).mean() > 0.1
    assert np.ptp(found["gradient"]) > 0.5
    before = (made / "dissected.safetensors").read_bytes()
    assert main(["dissect", *options]) == 0 and (made / "dissected.safetensors").read_bytes() == before
    # Hardly any noise: what the model is shown comes back.
    assert main(["dissect", *options, "--timestep", "0"]) == 0
    found = load_file(made / "dissected.safetensors")
    assert np.abs(found["noisy"] - found["sample"]).mean() < 0.05


def test_an_upsampler_shows_its_condition(stages):
    made, options = stages["castex-m-l"]
    assert main(["dissect", *options]) == 0
    found = load_file(made / "dissected.safetensors")
    assert set(found) == MAPS | STEP | {"anchor", "condition"}
    assert found["condition"].shape == found["sample"].shape == (3, 64, 64)
    assert np.abs(found["condition"] - found["anchor"]).mean() > 0.1, "it is noised"
    # The anchor is the start's render from the very shot of the step.
    assert np.abs(found["anchor"] - found["render"]).mean() < 0.05
    with pytest.raises(SystemExit):
        main(["dissect", *options, "--timestep", "soon"])
    without = [word for word in options if word != "--base"]
    without.remove(next(word for word in without if word.endswith("seed0/maps.safetensors")))
    assert main(["dissect", *without]) == 2


def test_a_stage_on_codes_has_no_such_pictures(stages):
    from castex.dissect import dissected

    settings = load_config().variants["castex-m"].stage
    with pytest.raises(InputError, match="a code is no picture"):
        dissected(
            grey_maps(16), grey_maps(16), settings, lambda maps, shot: torch.zeros(1, 3, 8, 8),
            lambda render, start, memory: object(), timestep=5, stream=torch.Generator(),
        )  # fmt: skip


def test_figure_1_draws_itself(tmp_path):
    pictures = {name: np.full((3, 8, 8), 0.4, dtype=np.float32) for name in MAPS | STEP | {"condition"}}
    places = []
    for kind in ("base", "upsampler"):
        place = tmp_path / kind / "ball" / "seed0"
        place.mkdir(parents=True)
        save_file(pictures, place / "dissected.safetensors")
        (place / "result.json").write_text(json.dumps({"kind": kind, "steps": 7}))
        places.append(place)
    files = [place / "dissected.safetensors" for place in places], [place / "result.json" for place in places]
    table, found = pipeline.load(*files)
    assert table[table["metric"] == "steps"]["value"].tolist() == [7, 7]
    save(pipeline.draw(found), [tmp_path / "p.png"])
    with Image.open(tmp_path / "p.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    with pytest.raises(InputError, match="a base and an upsampling stage"):
        pipeline.load(files[0][:1], files[1][:1])
