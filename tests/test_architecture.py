"""Laws of the tree that no linter knows: import order, heavy imports, randomness, forbidden calls."""

from __future__ import annotations

import ast
import re

import pytest

# A module may import from its own tier and from those above it, never from below.
TIERS = [
    {"errors", "files", "rng", "settings", "progress", "schedule", "protocols", "chunks", "weld"},
    {
        "config",
        "weights",
        "checkpoint",
        "picture",
        "score",
        "texture",
        "parameterise",
        "analytic",
        "mesh",
        "maps",
        "scene",
        "budget",
    },
    {"assets", "film", "maps_file", "maps_png", "panorama", "pyramid", "scene_file", "shot", "surface"},
    {"fetch", "repair"},
    {"cubemap", "uv", "visibility"},
    {"doctor", "machine", "shading", "texels", "true_shapes"},
    {
        "bake",
        "cost",
        "diffusion",
        "distil",
        "draw",
        "glb",
        "guidance",
        "judge",
        "light",
        "prompt",
        "raster",
        "gather",
        "sample",
    },
    {"anchoring_theory", "cascade", "export", "optimise", "prepare", "render"},
    {"inspection", "photograph", "reconstruct"},
    {"synthesise"},
    {"dissect", "recover"},
    {"tally", "tally_textures"},
    {"claims", "training"},
    {"recognise", "record"},
    {"anchoring"},
    {"appraise"},
    {"cli"},
]
# Each of these libraries is imported in one place (training builds new networks of the same classes).
HEAVY = {
    "diffusers": {"diffusion", "training", "true_shapes"},
    "embreex": {"visibility"},
    "huggingface_hub": {"fetch"},
    "nvdiffrast": {"visibility"},
    "objaverse": {"fetch"},
    "OpenEXR": {"panorama"},
    "PIL": {"film", "picture", "scene_file"},
    "scipy": {"tally_textures", "bake", "gather", "repair", "uv"},
    "skimage": {"score", "picture", "training"},
    "snakemake": set(),
    "sentencepiece": {"prompt"},
    "tokenizers": {"training"},
    "transformers": {"judge", "prompt", "training", "true_shapes"},
    "trimesh": {"scene_file"},
    "xatlas": {"uv"},
}
# The network has one door as well; `urllib.parse` only takes addresses apart.
SOCKETS = {"socket", "http", "ssl", "requests", "urllib.request", "urllib.error"}


def modules(root):
    for path in sorted((root / "src" / "castex").rglob("*.py")):
        parts = path.relative_to(root / "src" / "castex").with_suffix("").parts
        yield parts[0], path


def tier(name):
    return next(k for k, names in enumerate(TIERS) if name in names)


def imported(path):
    """All modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_go_one_way(root):
    for name, path in modules(root):
        if name == "__init__":
            continue
        for module in imported(path):
            head, _, rest = module.partition(".")
            if head == "castex" and rest:
                other = rest.split(".")[0]
                assert tier(other) <= tier(name), f"{path.name} imports {module} from a later tier"


def test_only_the_fetch_package_opens_sockets(root):
    for name, path in modules(root):
        for module in imported(path):
            outside = module in SOCKETS or module.split(".")[0] in SOCKETS
            assert not outside or name == "fetch", f"{path.name} imports {module}"


def test_heavy_libraries_have_one_door(root):
    for name, path in modules(root):
        for module in imported(path):
            doors = HEAVY.get(module.split(".")[0])
            assert doors is None or name in doors, f"{path.name} imports {module}"


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        (r"pickle\.load|torch\.load\(|allow_pickle=True|yaml\.load\(|trust_remote_code=True", "*.py"),
        (r"shell=True|except:\s*$|nan_to_num|globals\(\)", "*.py"),
        (r"^\s*(run|checkpoint)\b.*:", "*.smk"),
    ],
)
def test_forbidden_calls(root, pattern, where):
    for folder in ("src", "figures", "workflow"):
        for path in (root / folder).rglob(where):
            found = re.search(pattern, path.read_text(), flags=re.MULTILINE)
            assert found is None, f"{path}: {found and found[0]}"


def test_randomness_stays_at_the_edge(root):
    """Every draw names its generator; nothing seeds or reads the global one, but for building networks."""
    for name, path in modules(root):
        text = path.read_text()
        assert "randn_like" not in text and "rand_like" not in text, path
        for call in re.finditer(r"torch\.(rand|randn|randint)\((?:[^()]|\([^()]*\))*\)", text):
            assert "generator=" in call[0], f"{path}: {call[0]}"
        if name != "training":
            assert "manual_seed" not in text or name == "rng", path


def public(tree):
    """Functions and classes without an underscore, but for what is inside a function or a private class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def test_every_public_function_says_what_it_does(root):
    for _, path in modules(root):
        for node in public(ast.parse(path.read_text())):
            cli = path.parent.name == "cli" and node.name in {"add_arguments", "run"}
            assert cli or ast.get_docstring(node), f"{path.name}: {node.name}"


def test_files_are_small(root):
    for folder in ("src", "figures", "workflow"):
        for path in (root / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 300, path
    assert len((root / "Snakefile").read_text().splitlines()) <= 60
