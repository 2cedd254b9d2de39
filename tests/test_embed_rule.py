"""The rule `embed`: what it plans, and one whole run on a tiny model."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from snakemake_runs import planned, snakemake
from test_fetch_rules import copied

from castex.prompt import read_embeddings
from castex.weights import read_lock

TARGET = "results/small/embeddings/{}/vases.safetensors"


@pytest.fixture
def copy(root, tiny_models, tmp_path):
    """A checkout whose scale `small` knows two tiny models, one with the text encoder of the other."""
    folder = copied(root, tmp_path)
    models = {name: {"folder": str(tiny_models / name), "licence": "MIT"} for name in ("if_m", "if_ii")}
    models["if_ii"]["text"] = "if_m"
    overlay = {"scale": "small", "models": models, "prompts": {"vases": {"texts": ["a red vase"]}}}
    (folder / "small.yaml").write_text(yaml.safe_dump(overlay))
    return folder


def test_prompts_are_embedded_by_the_encoder_that_a_model_names(copy):
    arguments = [TARGET.format("if_m"), TARGET.format("if_ii"), "--configfile", "small.yaml"]
    assert planned(copy, *arguments) == {
        "embed": 2, "fetch": 1, "resolve_model": 1, "resolve_prompts": 1
    }  # fmt: skip
    snakemake(copy, "--cores", "2", *arguments)
    lock = copy / "results" / "small" / "lock" / "if_m.json"
    own = read_embeddings(copy / TARGET.format("if_m"), lock)
    borrowed = read_embeddings(copy / TARGET.format("if_ii"), lock)
    assert own.texts == borrowed.texts and len(own.texts) == 7 and own.model == borrowed.model
    assert set(json.loads(lock.read_text())["files"]) == set(read_lock(lock).files)
    assert planned(copy, *arguments) == {}
    settings = (copy / "small.yaml").read_text()
    (copy / "small.yaml").write_text(settings.replace("a red vase", "a blue vase"))
    assert planned(copy, *arguments) == {"embed": 2, "resolve_prompts": 1}


@pytest.mark.parametrize(
    ("embed", "gpu", "published"),
    [({}, 0, 30_500), ({"device": "cuda"}, 1, 21_000), ({"precision": "bfloat16"}, 0, 21_000)],
)
def test_memory_and_device_are_asked_for(copy, embed, gpu, published):
    """T5-XXL, 9.5 GB in half precision, is twice that in float32; the tiny one of a folder is nothing."""
    settings = yaml.safe_load((copy / "small.yaml").read_text())
    remote = {"repository": "DeepFloyd/IF-I-XL-v1.0", "files": {"text_encoder/config.json": None}}
    settings["models"]["xxl"] = remote | {"licence": "MIT"}
    (copy / "small.yaml").write_text(yaml.safe_dump(settings | {"embed": embed}))
    targets = [TARGET.format(model) for model in ("xxl", "if_ii")]
    done = snakemake(copy, "-n", "--cores", "1", *targets, "--configfile", "small.yaml")
    said = re.findall(
        r"rule embed:.*?wildcards: model=(\w+).*?resources: ([^\n]*)",
        done.stdout + done.stderr,
        flags=re.DOTALL,
    )
    asked = {model: dict(item.split("=", 1) for item in resources.split(", ")) for model, resources in said}
    assert {model: found["mem_mb"] for model, found in asked.items()} == {
        "xxl": str(published), "if_ii": "2000"
    }  # fmt: skip
    assert {found["gpu"] for found in asked.values()} == {str(gpu)}


def test_unknown_prompts_have_no_rule(copy):
    target = TARGET.format("if_m").replace("vases", "nothing")
    done = snakemake(copy, "-n", target, "--configfile", "small.yaml", check=False)
    assert done.returncode != 0 and "No rule to produce" in done.stdout + done.stderr
