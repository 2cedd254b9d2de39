"""The workflow before it runs: its laws, and how it reads its configuration."""

from __future__ import annotations

import re
import subprocess

import pytest
from snakemake_runs import EXHIBITS, SMOKE, planned, rule_graph, snakemake

# The laws of the tree ---------------------------------------------------------------------------------------


def test_one_name_everywhere(root):
    rules = sorted(path.stem for path in (root / "workflow" / "rules" / "exhibits").glob("*.smk"))
    scripts = sorted(p.stem for p in (root / "figures").glob("*.py") if not p.stem.startswith("_"))
    captions = sorted(p.stem for p in (root / "workflow" / "report").glob("*.rst") if p.stem != "workflow")
    assert rules == scripts == captions == EXHIBITS
    targets = snakemake(root, "--list-target-rules").stdout
    readme = (root / "README.md").read_text()
    for name in EXHIBITS:
        assert re.search(rf"^{name}\b.*\(.+\)", targets, flags=re.MULTILINE), f"{name} has a docstring"
        assert f"`{name}`" in readme


def test_every_working_rule_logs_and_is_measured(root):
    for path in (root / "workflow" / "rules").rglob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            name = rule.split(":")[0]
            assert '"""' in rule, name
            if "shell:" in rule or "script:" in rule:
                assert "log:" in rule and "benchmark:" in rule, name
            if "shell:" in rule:
                assert "mem=" in rule and "{log} 2>&1" in rule, name


def test_lint_finds_nothing_but_the_accepted_message(root):
    done = subprocess.run(
        ["python", "workflow/scripts/lint_rules.py"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint_script_fails_on_another_message(root):
    namespace: dict = {"__name__": "lint_rules"}
    exec((root / "workflow" / "scripts" / "lint_rules.py").read_text(), namespace)
    accepted = f"    * {namespace['ACCEPTED']}:"
    report = f"Lints for rule a (line 1, a.smk):\n{accepted}\n    * No log directive defined:\n      text"
    assert namespace["unexpected"](report) == ["rule a (line 1, a.smk): No log directive defined"]


# Configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("sed=1", "sed"),
        ("replicates=many", "replicates"),
        ("reconstruct={pixel-dip: {lerning_rate: 1}}", "lerning_rate"),
        ("reconstruct={pixel-dip: {size: 8}}", "size"),
    ],
)
def test_a_mistake_in_the_configuration_stops_the_dry_run(root, argument, named):
    done = snakemake(root, "-n", "--config", argument, check=False)
    assert done.returncode != 0 and named in done.stdout + done.stderr


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_command_line_and_snakefile_merge_alike(root, scale):
    """`castex.config` reads the files that config.smk names, in order, and merges as Snakemake does."""
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    from castex.config import load_config, validated

    named = (root / "workflow" / "rules" / "config.smk").read_text()
    files = re.findall(r'^configfile: "(.+)"$', named, flags=re.MULTILINE)
    theirs: dict = {}
    for name in files + ([] if scale == "mini" else [f"config/{scale}.yaml"]):
        update_config(theirs, load_configfile(str(root / name)))
    assert validated(theirs) == load_config(scale)


# What the paper scale brings from outside, the mini scale generates.
OUTSIDE = {"fetch_file", "resolve_file", "fetch_objaverse"}


def test_both_scales_have_the_same_rule_graph(root):
    mini, smoke = rule_graph(root), rule_graph(root, *SMOKE)
    paper = rule_graph(root, "--configfile", "config/paper.yaml")
    assert ("reconstruct", "toy_reconstruction") in mini and ("relight", "relighting") in mini
    assert mini == smoke == {edge for edge in paper if not OUTSIDE & set(edge)}
    assert ("fetch_file", "prefilter") in paper and ("fetch_objaverse", "fetch_asset") in paper


def test_replicates_add_runs_and_only_runs(root):
    reduced, full = (planned(root, "--forceall", "--config", f"replicates={n}") for n in ("reduced", "full"))
    assert full["reconstruct"] == 6 * 3 * 3 > reduced["reconstruct"] == 4 * 3
    assert full.keys() == reduced.keys()
