"""Configuration: what is shipped is valid, and a mistake is named before anything runs."""

from __future__ import annotations

import copy

import pytest
import yaml
from pydantic import ValidationError

from castex.config import config_schema, load_config, merged, validated
from castex.errors import InputError
from castex.files import sha256
from castex.settings import ReconstructSettings


@pytest.fixture
def raw(root):
    files = [root / "config" / "config.yaml", *sorted((root / "config" / "experiments").glob("*.yaml"))]
    return copy.deepcopy(merged(yaml.safe_load(path.read_text()) for path in files))


def test_schema_file_is_generated_from_the_settings(root):
    """Mend with: castex schema --output workflow/schemas/config.schema.yaml"""
    assert (root / "workflow" / "schemas" / "config.schema.yaml").read_text() == config_schema()


def test_every_setting_is_described():
    def undescribed(node, path):
        for name, child in node.get("properties", {}).items():
            if "description" not in child:
                yield f"{path}.{name}"

    schema = yaml.safe_load(config_schema())
    parts = {"Config": schema, **schema["$defs"]}
    assert [gap for name, part in parts.items() for gap in undescribed(part, name)] == []


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_shipped_scales_are_valid(scale):
    config = load_config(scale)
    assert config.scale == scale
    assert config.sweep("toy_reconstruction").pictures == ["astronaut"]


def test_paper_scale_is_the_paper_where_it_says_so():
    config = load_config("paper")
    assert (
        config.models["vae"].repository == "stabilityai/sd-vae-ft-mse" and config.models["vae"].folder is None
    )
    for name in config.sweep("toy_reconstruction").variants:
        assert config.reconstruct[name].size == 512
    dip = config.reconstruct["pixel-dip"]
    assert (dip.dip.width, dip.dip.scales, dip.optimise.steps) == (128, 5, 1500)


def test_paper_scale_has_the_paper_s_objects_and_lights():
    config = load_config("paper")
    assert config.assets.splits == ["benchmark"] and config.assets.prepare.size == 1024
    assert not config.assets.prepare.keep_uv, "the published method always makes its own coordinates"
    training, evaluation = config.lights["kloofendal"], config.lights["studio_small_06"]
    assert (training.intensity, evaluation.intensity) == (2.0, 0.7)
    assert config.files[training.file].path.endswith("kloofendal_28d_misty_puresky_2k.hdr")
    assert config.files["inception"].sha256_begins == "6726825d" and config.files["inception"].sha256 is None


def test_mini_scale_needs_nothing_from_outside():
    config = load_config("mini")
    assert config.files == {} and all(model.folder for model in config.models.values())
    assert {light.generated for light in config.lights.values()} == {"studio", "sky", "sunset"}


def test_known_hashes_are_those_of_real_files(shared):
    """Two files of the paper scale are at hand for tests: their hashes stand in the configuration."""
    files = load_config("paper").files
    for name, path in (
        ("mud_road_puresky_1k", "hdri/mud_road_puresky_1k.hdr"),
        ("spot", "meshes/spot/spot_castex.obj"),
    ):
        assert (files[name].sha256, files[name].bytes) == (
            sha256(shared / path),
            (shared / path).stat().st_size,
        )


def test_an_overlay_comes_on_top(tmp_path):
    (tmp_path / "mine.yaml").write_text("assets: {names: [vase]}\n")
    config = load_config(overlay=tmp_path / "mine.yaml")
    assert config.assets.names == ["vase"] and config.assets.splits == ["corpus", "held-out"]
    with pytest.raises(InputError, match="cannot be read"):
        load_config(overlay=tmp_path / "absent.yaml")


def test_both_scales_run_the_same_experiments():
    mini, paper = load_config("mini"), load_config("paper")
    assert mini.experiments == paper.experiments
    assert mini.reconstruct.keys() == paper.reconstruct.keys()


def test_unknown_scale():
    with pytest.raises(InputError, match="no scale 'huge'"):
        load_config("huge")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (["sed"], 1, r"sed: Extra inputs are not permitted"),
        (["replicates"], "many", r"replicates: .*'reduced' or 'full'"),
        (["reconstruct", "pixel-dip", "optimise", "steps"], 0, r"pixel-dip\.optimise\.steps: .*\(got '0'\)"),
        (["reconstruct", "pixel-dip", "optimise", "lerning_rate"], 1, r"lerning_rate: Extra inputs"),
        (["reconstruct", "pixel-dip", "space"], "voxel", r"pixel-dip\.space"),
        (["models", "vae"], {"licence": "MIT"}, r"a model needs `folder`"),
        (["models", "vae", "revision"], "main", r"models\.vae\.revision"),
        (["models", "vae", "files"], {"../x": None}, r"models\.vae\.files"),
        (["train_vae", "autoencoder"], {"norm_num_groups": 8}, r"16 channels cannot be split"),
        (["experiments", "toy_sensitivity", "full", "pictures"], ["nobody"], r"unknown picture 'nobody'"),
        (["experiments", "toy_sensitivity", "full", "variants"], ["nothing"], r"unknown variant 'nothing'"),
        (["assets", "splits"], ["train"], r"assets\.splits\.0: .*'benchmark', 'corpus' or 'held-out'"),
        (["assets", "prepare", "size"], 8, r"assets\.prepare\.size: .*\(got '8'\)"),
        (["lights", "sky"], {"intensity": 1}, r"lights\.sky: .*either `file` or `generated`"),
        (["lights", "sky"], {"file": "nowhere"}, r"light sky names the unknown file 'nowhere'"),
        (["download"], {"timeout_s": 0}, r"download\.timeout_s: .*greater than 0"),
        (["objaverse"], {"base_url": "ftp://host/x"}, r"objaverse\.base_url: "),
        (["objaverse"], {"base_url": "https://user:secret@host/x"}, r"objaverse\.base_url: "),
        (["files"], {"x": {"urls": [], "path": "a", "licence": "MIT"}}, r"files\.x\.urls: "),
        (["files"], {"x": {"urls": ["https://h/a"], "path": "../a", "licence": "MIT"}}, r"files\.x\.path: "),
        (["files"], {"x": {"urls": ["https://h/a"], "path": "/a", "licence": "MIT"}}, r"files\.x\.path: "),
        (
            ["files"],
            {name: {"urls": ["https://h/a"], "path": "a", "licence": "MIT"} for name in "xy"},
            r"two entries of files share the path 'a'",
        ),
    ],
)
def test_mistakes_are_named(raw, path, value, sentence):
    node = raw
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(InputError, match=sentence):
        validated(raw)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"timestep_min": 980}, "timestep_min=980 must be below timestep_max=980"),
        ({"parameterisation": "dip", "size": 32}, "use at least 64 pixels"),
    ],
)
def test_contradictions_within_an_arm(change, sentence):
    base = {"space": "pixel", "parameterisation": "explicit", "size": 64}
    with pytest.raises(ValidationError, match=sentence):
        ReconstructSettings(**(base | {"optimise": {"steps": 1, "learning_rate": 0.1}} | change))


def test_broken_yaml_is_named(tmp_path, monkeypatch):
    for text, sentence in (("a: [", r"config\.yaml is no valid YAML"), ("- a", "must hold keys and values")):
        (tmp_path / "config" / "experiments").mkdir(parents=True, exist_ok=True)
        (tmp_path / "config" / "config.yaml").write_text(text)
        monkeypatch.setattr("castex.config.checkout", lambda: tmp_path)
        with pytest.raises(InputError, match=sentence):
            load_config()


def test_settings_are_frozen():
    config = load_config()
    with pytest.raises(ValidationError):
        config.scale = "paper"


def test_merging_replaces_lists_and_merges_mappings():
    below, above = {"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3]}, "b": {"z": 0}}
    assert merged([below, above]) == {"a": {"x": 1, "y": [3]}, "b": {"z": 0}}
    assert below["a"]["y"] == [1, 2]
