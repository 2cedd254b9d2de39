"""The README: its commands exist, and its table of results comes from files."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from castex.tally import COLUMNS


@pytest.fixture
def script(root):
    namespace: dict = {"__name__": "readme_table"}
    exec((root / "workflow" / "scripts" / "readme_table.py").read_text(), namespace)
    return namespace


def rows(script):
    panels = [(method, metric) for _, method, metric in script["PANELS"]]
    found = [(m, v, "a", 0, k, 10.0 + i) for i, (m, k) in enumerate(panels) for v in ("ours", "reported")]
    return pd.DataFrame([*found, ("latent-explicit", "ours", "a", 0, "psnr_ceiling", 21.5)], columns=COLUMNS)


def test_table_is_made_from_the_exhibits(script):
    claims = pd.DataFrame({"claim": ["a", "b", "c"], "verdict": ["PASS", "FAIL", "NOT RUN"]})
    text = script["table"](rows(script), claims)
    assert text.count("\n| ") == 7 - 1 and "| latent space, DIP | 14.00 | 14.00 |" in text
    assert "21.50 dB" in text and "1 PASS, 1 FAIL, 1 NOT RUN (failed: `b`)" in text


def test_only_the_marked_part_is_replaced(script, root):
    readme = (root / "README.md").read_text()
    changed = script["replaced"](readme, "NEW")
    assert changed.split(script["BEGIN"])[0] == readme.split(script["BEGIN"])[0]
    assert changed.split(script["END"])[1] == readme.split(script["END"])[1]
    assert f"{script['BEGIN']}\nNEW\n{script['END']}" in changed


def test_the_readme_has_its_table(script, root):
    block = (root / "README.md").read_text().split(script["BEGIN"])[1].split(script["END"])[0]
    assert block.count(" | ") >= 14 and "NOT RUN" in block


def test_every_make_target_that_is_named_exists(root):
    targets = set(re.findall(r"^([a-z-]+):.*##", (root / "Makefile").read_text(), flags=re.MULTILINE))
    named = set()
    for name in ("README.md", ".ci/run", "data/README.md", "config/README.md"):
        named |= set(re.findall(r"(?:^|`|    )make ([a-z-]+)", (root / name).read_text(), flags=re.MULTILINE))
    assert {"figures", "test", "env"} <= named <= targets


def test_every_path_that_is_linked_exists(root):
    for name in ("README.md", "config/README.md"):
        folder = (root / name).parent
        for target in re.findall(r"\]\(([^)#]+)\)", (root / name).read_text()):
            assert target.startswith("http") or (folder / target).exists(), target


def test_the_family_table_is_that_of_the_shipped_models(root):
    namespace: dict = {"__name__": "family_table"}
    exec((root / "workflow" / "scripts" / "family_table.py").read_text(), namespace)
    made = namespace["table"](root / "data" / "mini")
    assert made in (root / "README.md").read_text() and made.count("\n| `") == len(namespace["MODELS"])
    assert float(made.split("together: ")[1].split(" MB")[0]) <= 25
    assert namespace["replaced"](f"a{namespace['BEGIN']}x{namespace['END']}b", "N").startswith("a")
