"""Each exhibit draws itself from a small table, and only from complete ones."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow
from safetensors.numpy import save_file

import claims as claims_page
import ledger
import relighting
import texture_toy
import toy_reconstruction
import toy_sensitivity
from _methods import STYLES
from _save import save
from castex.claims import COLUMNS as CLAIM_COLUMNS
from castex.errors import IncompleteResults, InputError


@pytest.fixture
def folders(tmp_path):
    """Four runs of 16 pixels, one per method, as the rule `reconstruct` leaves them."""
    made = []
    for k, method in enumerate(STYLES):
        space, parameterisation = method.split("-")
        folder = tmp_path / method
        folder.mkdir()
        names = ["target", "theta"] + (["decoded", "ceiling"] if space == "latent" else [])
        picture = np.random.default_rng(k).random((1, 3, 16, 16), dtype=np.float32)
        save_file(dict.fromkeys(names, picture), folder / "pictures.safetensors")
        scores = {"psnr_theta": 10.0 + k}
        if space == "latent":
            scores |= {"psnr_decoded": 20.0, "psnr_ceiling": 21.0, "code_values": 16}
        settings = {
            "space": space,
            "parameterisation": parameterisation,
            "initial": "gaussian",
            "decoder_pull": 0,
        }
        record = {
            "variant": method,
            "seed": 0,
            "image": {"name": "astronaut.png"},
            "settings": settings,
            **scores,
        }
        (folder / "result.json").write_text(json.dumps(record))
        columns = [name for name in scores if name in ("psnr_theta", "psnr_decoded")]
        pd.DataFrame({"step": [1, 2], **{name: [5.0, scores[name]] for name in columns}}).to_csv(
            folder / "trace.csv", index=False
        )
        made.append(folder)
    return made


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_toy_reconstruction_shows_six_scores_beside_the_papers(folders, root, tmp_path):
    data = toy_reconstruction.load(folders, root / "data" / "reported.csv")
    assert (data.scores["variant"] == "reported").sum() == 6
    assert (
        len(data.scores[(data.scores["variant"] == "ours") & data.scores["metric"].str.match("psnr_[td]")])
        == 6
    )
    figure = toy_reconstruction.draw(data)
    shown = "\n".join(texts(figure))
    for paper in ("148.02", "8.53", "26.38", "43.56", "23.81", "27.03"):
        assert f"(paper {paper})" in shown
    assert "21.00 dB\n16 numbers" in shown
    assert len(figure.axes) == 9
    save(figure, [tmp_path / "a.pdf", tmp_path / "a.png"])
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF") and b"CreationDate" not in (
        tmp_path / "a.pdf"
    ).read_bytes()


def test_figures_have_the_same_bytes_each_time(folders, root, tmp_path):
    for name in ("a", "b"):
        figure = toy_reconstruction.draw(toy_reconstruction.load(folders, root / "data" / "reported.csv"))
        save(figure, [tmp_path / f"{name}.pdf", tmp_path / f"{name}.png"])
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_toy_sensitivity_draws_a_dot_per_run(folders):
    scores = toy_sensitivity.load([folder / "result.json" for folder in folders])
    more = scores.assign(asset="coffee")
    figure = toy_sensitivity.draw(pd.concat([scores, more, more.assign(seed=1)], ignore_index=True))
    assert [axes.get_title() for axes in figure.axes] == ["astronaut", "coffee"]
    dots = [sum(len(line.get_xdata()) for line in axes.lines) for axes in figure.axes]
    # Six scores per run, and two points for the line of the autoencoder's ceiling.
    assert dots == [6 + 2, 12 + 2]


def test_a_figure_of_one_picture_refuses_two(folders, root, tmp_path):
    """Else the picture of one run could stand above the score of another."""
    other = tmp_path / "other"
    shutil.copytree(folders[0], other)
    record = json.loads((other / "result.json").read_text())
    (other / "result.json").write_text(json.dumps(record | {"image": {"name": "mine.png"}}))
    with pytest.raises(InputError, match="got 5 runs"):
        toy_reconstruction.load([*folders, other], root / "data" / "reported.csv")
    with pytest.raises(InputError, match="got 3 runs"):
        toy_reconstruction.load(folders[:3], root / "data" / "reported.csv")


def test_other_arms_are_drawn_apart(folders):
    scores = toy_sensitivity.load([folder / "result.json" for folder in folders])
    latent = scores[scores["method"] == "latent-explicit"]
    more = [latent.assign(variant=f"latent-explicit-{name}") for name in ("grey", "pull")]
    figure = toy_sensitivity.draw(pd.concat([scores, *more], ignore_index=True))
    lines = [line for line in figure.axes[0].lines if line.get_label().startswith("latent, explicit")]
    assert len({(line.get_xdata()[0], line.get_label()) for line in lines}) == 6


def test_claims_page_escapes_and_counts():
    row = dict.fromkeys(CLAIM_COLUMNS) | {
        "claim": "a",
        "statement": "<script>alert(1)</script>",
        "source": "Fig. 2",
        "reported": 148.02,
        "ours": 131.5,
        "verdict": "PASS",
        "reason": "1 run",
        "rule": "toy",
        "file": "toy.csv",
        "tolerance": ">= 120 dB",
    }
    other = row | {"claim": "b", "verdict": "NOT RUN", "rule": None, "file": None, "ours": None}
    page = claims_page.draw(pd.DataFrame([row, other]), scale="mini", replicates="reduced")
    assert "1 PASS, 0 FAIL, 1 NOT RUN" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "148.02" in page and "131.50" in page and "&gt;= 120 dB" in page and "nan" not in page.lower()
    assert "1 published numbers that were not run" in page


def test_claims_page_refuses_a_ledger_that_forgets_a_number(root, tmp_path):
    ledger_file, reported = root / "data" / "claims.yaml", tmp_path / "reported.csv"
    text = (root / "data" / "reported.csv").read_text()
    reported.write_text(text)
    assert claims_page.load([], ledger_file, reported)[1]["id"].is_unique
    reported.write_text(text + "new.number,CasTex v2,M,psnr,1.0,,dB,nowhere\n")
    with pytest.raises(InputError, match=r"says nothing of new\.number"):
        claims_page.load([], ledger_file, reported)


def benchmark(path, seconds, memory):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{memory}\n")
    return path


def test_ledger_compares_with_budgets(tmp_path):
    common = {"unit": "s", "what": "all"}
    budgets = {
        "toy": {"measure": "total", "of": ["reconstruct/", "picture/"], "budget": 100, **common},
        "longest": {"measure": "longest", "of": ["reconstruct/"], "budget": 90, **common},
        "memory": {"measure": "memory", "of": [""], "budget": 400, "unit": "MB", "what": "memory"},
    }
    paths = [
        benchmark(tmp_path / "reconstruct" / "a.tsv", 70, 300),
        benchmark(tmp_path / "reconstruct" / "b.tsv", 20, 300),
        # A job of a second is never sampled: Snakemake writes NA.
        benchmark(tmp_path / "picture" / "c.tsv", 15, "NA"),
        benchmark(tmp_path / "other" / "d.tsv", 500, 500),
    ]
    jobs = ledger.load(paths)
    table = ledger.draw(jobs, budgets).set_index("item")
    assert table.loc["toy", ["value", "verdict"]].tolist() == [105, "FAIL"]
    assert table.loc["longest", ["value", "verdict"]].tolist() == [70, "PASS"]
    assert table.loc["memory", ["value", "verdict"]].tolist() == [500, "FAIL"]
    assert table.loc["picture/c", "value"] == 15
    with pytest.raises(IncompleteResults, match="the budget gone"):
        ledger.draw(jobs, {"gone": {**budgets["toy"], "of": ["nowhere/"]}})


def test_ledger_refuses_an_empty_measurement(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("s\th:m:s\tmax_rss\n")
    with pytest.raises(IncompleteResults, match="holds no measurement"):
        ledger.load([path])


@pytest.fixture
def dressed(tmp_path):
    """Two dressed assets, as the rule `relight` leaves them."""
    found = {}
    for k, name in enumerate(("vase-brick", "cup-own")):
        folder = tmp_path / name
        folder.mkdir()
        for picture in (*relighting.MAPS, "noon", "dusk"):
            pixels = np.random.default_rng(k).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Pillow.fromarray(pixels).save(folder / f"{picture}.png")
        numbers = {
            "luminance": {"noon": 0.5, "dusk": 0.1 + k},
            "means": {"albedo": 0.4, "roughness": 0.5, "metallic": 0.0},
        }
        (folder / "result.json").write_text(json.dumps(numbers))
        found[name] = folder / "result.json"
    return found


def test_relighting_draws_itself_with_its_credits(dressed, tmp_path):
    scores = relighting.load(dressed, {"vase-brick": "vase", "cup-own": "cup"})
    assert list(scores.columns) == ["method", "variant", "asset", "seed", "metric", "value"]
    dusk = scores[(scores["method"] == "cup-own") & (scores["metric"] == "luminance_dusk")]
    assert dusk["value"].item() == 1.1 and dusk["asset"].item() == "cup"
    credit = relighting.credit(
        {"attribution": {"title": "Cup", "author": "A. Maker", "licence": "CC-BY-4.0", "uid": "0"}}
    )
    assert credit == "Cup, A. Maker, CC-BY-4.0"
    figure = relighting.draw(
        {name: path.parent for name, path in dressed.items()},
        ["noon", "dusk"],
        {"vase-brick": "", "cup-own": credit},
    )
    shown = texts(figure)
    assert {"albedo", "under noon", "under dusk", "vase, brick", credit} <= set(shown)
    save(figure, [tmp_path / "relighting.pdf", tmp_path / "relighting.png"])
    assert (tmp_path / "relighting.pdf").stat().st_size > 10_000


@pytest.fixture
def recovered(tmp_path):
    """Four runs of 16 texels, one per method, as the rule `recover` leaves them."""
    made = []
    for k, method in enumerate(STYLES):
        folder = tmp_path / method / "house" / "seed0"
        folder.mkdir(parents=True)
        names = ["known_view", "known_albedo", "found_view", "found_albedo"]
        scores = {"psnr_albedo": 10.0 + k, "psnr_views": 30.0 + k, "psnr_views_start": 5.0}
        if method.startswith("latent"):
            names.append("found_decoded")
            scores |= {"psnr_views_decoded": 20.0 + k, "psnr_views_ceiling": 21.0}
        picture = np.random.default_rng(k).random((1, 3, 16, 16), dtype=np.float32)
        save_file(dict.fromkeys(names, picture), folder / "pictures.safetensors")
        record = {"arm": method, "asset": "house", "seed": 0, "scores": scores}
        (folder / "result.json").write_text(json.dumps(record))
        made.append(folder / "result.json")
    return made


def test_texture_toy_shows_ten_scores(recovered):
    scores, pictures = texture_toy.load(recovered)
    shown = texts(texture_toy.draw(scores, pictures))
    for value in ("30.0", "32.0", "22.0", "10.0", "12.0", "31.0", "33.0", "23.0", "11.0", "13.0"):
        assert shown.count(f"{value} dB") == 1
    assert any("grey start 5.0 dB" in text and "ceiling 21.0 dB" in text for text in shown)


def test_texture_toy_averages_runs_and_refuses_to_lack_an_arm(recovered, tmp_path):
    again = []
    for path in recovered:
        folder = tmp_path / "again" / path.parts[-4]
        shutil.copytree(path.parent, folder)
        record = json.loads(path.read_text())
        record["scores"] = {name: value + 1 for name, value in record["scores"].items()}
        (folder / "result.json").write_text(json.dumps(record | {"seed": 1}))
        again.append(folder / "result.json")
    scores, pictures = texture_toy.load([*recovered, *again])
    assert texture_toy.mean(scores, "pixel-explicit", "psnr_views") == 30.5
    assert "30.5 dB" in texts(texture_toy.draw(scores, pictures))
    with pytest.raises(InputError, match="but got pixel-explicit, pixel-dip, latent-explicit;"):
        texture_toy.load(recovered[:3])
