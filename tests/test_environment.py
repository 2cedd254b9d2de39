"""One environment, described three times: the three must agree."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

# Names that differ between conda-forge and the Python package index.
CONDA_NAMES = {"pytorch": "torch"}
# What conda needs and the constraints do not pin, or pin differently.
CONDA_ONLY = {"python", "pip", "nodefaults"}


def pins(root):
    """Package -> versions of the constraints that apply to Linux, for the oldest Python."""
    found = {}
    for line in (root / "constraints.txt").read_text().splitlines():
        requirement = Requirement(line)
        environment = {"python_full_version": "3.11.0", "python_version": "3.11", "sys_platform": "linux"}
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found[canonicalize_name(requirement.name)] = next(iter(requirement.specifier)).version
    return found


@pytest.fixture
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def conda(root):
    content = yaml.safe_load((root / "environment.yml").read_text())
    specs = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    versions = dict(re.fullmatch(r"([a-z0-9._-]+)=([0-9.]+)", spec).groups() for spec in specs)
    (pip,) = (entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    assert pip[-1] == "-e ."
    return content, versions | dict(spec.split("==") for spec in pip[:-1])


def test_constraints_fit_the_ranges_of_the_project(root, project):
    versions = pins(root)
    extras = project["optional-dependencies"]
    for line in project["dependencies"] + extras["test"] + extras["gpu"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), line


def test_every_constraint_is_an_exact_version_without_an_address(root):
    text = (root / "constraints.txt").read_text()
    assert "http:" not in text and "https:" not in text and "+cpu" not in text
    for line in text.splitlines():
        assert re.match(r"[A-Za-z0-9._-]+==[^ ]+( ; .*)?$", line), line


def test_environment_yml_is_in_step(root, project):
    content, versions = conda(root)
    assert content["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    expected = pins(root)
    for name, version in versions.items():
        if name not in CONDA_ONLY:
            assert expected[CONDA_NAMES.get(name, name)] == version, name
    wanted = {Requirement(line).name for line in project["dependencies"]}
    assert wanted <= {CONDA_NAMES.get(name, name) for name in versions}


def test_installed_versions_are_the_pinned_ones(root, project):
    for line in project["dependencies"]:
        name = Requirement(line).name
        installed = Version(importlib.metadata.version(name))
        assert Version(installed.public) in Requirement(line).specifier, name


def test_versions_agree(root, project):
    import castex

    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert castex.__version__ == project["version"] == citation["version"]
    assert f"## {project['version']}" in (root / "CHANGELOG.md").read_text()
