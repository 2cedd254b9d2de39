"""Counting by hand-made examples, the roofline, the verbs, and the exhibit that the claims are decided on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from snakemake_runs import planned, snakemake
from tiny_networks import write_folders

import cost as exhibit
from castex.claims import Exhibit, decide, parse_ledger, undecided
from castex.cli import main
from castex.cli.measure_cost import loaded_as, timed
from castex.cost import (
    STEPS,
    Cost,
    Kernel,
    Machine,
    Measured,
    count,
    count_call,
    measure,
    predicted_ms,
    predicted_seconds,
    sizes,
)
from castex.diffusion import load_base, load_upsampler
from castex.training.precision import fast_bfloat16
from castex.true_shapes import build, shapes_of_folder, true_shapes
from castex.weights import SUMS

MACHINE = Machine("example", 100.0, 10.0, 0.5, 0.5, "made up")


def meta(*sides):
    return torch.empty(sides, device="meta", dtype=torch.bfloat16)


def test_a_product_is_counted_by_hand():
    layer = torch.nn.Linear(8, 3, device="meta", dtype=torch.bfloat16)
    cost = count_call(layer, lambda: layer(meta(5, 8)))
    assert (cost.parameters, cost.weight_bytes) == (27, 54)
    assert cost.products == (Kernel(2 * 5 * 8 * 3, 2 * (5 * 8 + 27 + 5 * 3)),)


def test_a_convolution_is_counted_by_hand():
    layer = torch.nn.Conv2d(4, 6, 3, padding=1, bias=False, device="meta", dtype=torch.bfloat16)
    cost = count_call(layer, lambda: layer(meta(2, 4, 7, 7)))
    assert cost.flops == 2 * 2 * 6 * 7 * 7 * 4 * 9
    assert cost.moved("eager") == 2 * (2 * 4 * 49 + 6 * 4 * 9 + 2 * 6 * 49)


def test_views_are_free_and_repeated_axes_take_no_memory():
    nothing = torch.nn.Identity()
    x = meta(4, 1)
    cost = count_call(nothing, lambda: (x.view(2, 2), x.expand(4, 9).transpose(0, 1), x[1:], x.split(2)))
    assert cost.kernels("eager") == ()
    cost = count_call(nothing, lambda: x.expand(4, 9) + 1)
    assert cost.kernels("compiled") == () and cost.moved("eager") == 2 * (4 + 36)


def test_attention_is_one_kernel_or_its_parts():
    q, k = meta(2, 3, 10, 8), meta(2, 3, 12, 8)
    attend = torch.nn.functional.scaled_dot_product_attention
    cost = count_call(torch.nn.Identity(), lambda: attend(q, k, k))
    flops = 2 * (2 * 2 * 3 * 10 * 12 * 8)
    assert cost.attention == (Kernel(flops, 2 * 2 * 3 * 8 * (10 + 12 + 12 + 10)),)
    for execution in ("unfused", "eager", "compiled"):
        assert sum(kernel.flops for kernel in cost.kernels(execution)) == flops
    scores = 2 * 2 * 3 * 10 * 12
    assert cost.moved("unfused") >= cost.moved("eager") + 4 * scores, "scores written, read, written, read"


def test_the_ways_of_running_are_ordered():
    cost = count(true_shapes(1)["if-i-m"])
    assert cost.moved("unfused") > cost.moved("eager") > cost.moved("compiled") > cost.weight_bytes
    times = [predicted_ms(cost, MACHINE, execution) for execution in ("unfused", "eager", "compiled")]
    assert times == sorted(times, reverse=True)


def test_the_roofline_takes_the_longer_of_arithmetic_and_traffic():
    cost = Cost(
        parameters=0,
        weight_bytes=0,
        plain=(Kernel(0, 20),),
        products=(Kernel(100, 5), Kernel(10, 50)),
        attention=(),
        attention_parts=(),
    )
    assert predicted_ms(cost, MACHINE, "eager") == pytest.approx(1000 * (4 + 2 + 10))
    assert predicted_ms(cost, MACHINE, "compiled") == pytest.approx(1000 * (2 + 10))


def test_a_texture_takes_the_steps_of_both_stages():
    assert STEPS == {"base": 500, "upsampler": 1000}
    step = {"if-i-m": 10.0, "if-i-xl": 100.0, "if-ii-l-a2": 1.0, "if-ii-l-bx": 3.0, "t5-xxl": 7.0}
    seconds = predicted_seconds(step)
    assert seconds == {
        ("castex-m", "ours"): 5,
        ("castex-m-l", "a2"): 6,
        ("castex-m-l", "bx"): 8,
        ("castex-xl", "ours"): 50,
        ("castex-xl-l", "a2"): 51,
        ("castex-xl-l", "bx"): 53,
    }
    total = sizes({name: int(ms) for name, ms in step.items()})
    assert total["castex-xl-l", "a2"] == 101 and total.keys() == seconds.keys()


def test_no_candidate_for_the_upsampler_passes_as_the_settled_one(made):
    variants = {}
    for entry in made[0]["syntheses"]:
        variants.setdefault(entry["synthesis"], set()).add(entry["variant"])
    assert variants["castex-m"] == variants["castex-xl"] == {"ours"}
    assert variants["castex-m-l"] == variants["castex-xl-l"] == {"a2", "a3", "b", "a2x", "a3x", "bx"}


def test_the_warm_up_is_not_counted(stream):
    calls = []

    class Network(torch.nn.Module):
        def forward(self, sample):
            calls.append(torch.is_inference_mode_enabled())
            return sum(sample @ sample for _ in range(200 if len(calls) <= 2 else 1))

    found = measure(Network(), {"sample": torch.randn(150, 150, generator=stream)}, repeats=5)
    assert calls == [True] * 7
    whole = measure(Network(), {"sample": torch.randn(150, 150, generator=stream)}, repeats=1, warmup=0)
    assert found.cpu_ms > 0 and 0 < found.ms < 1000 and whole.ms > 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the rule `measure_cost` writes of the tiny models: the record and the table of budgets."""
    folder = tmp_path_factory.mktemp("cost")
    folders = write_folders(folder / "models")
    models = [f"{name}={path}" for name, path in folders.items()]
    budgets = folder / "budgets.yaml"
    entries = {
        "if_xl": {"budget": 1e9, "unit": "ms", "what": "a, b"},
        "if_ii": {"budget": 0, "unit": "ms", "what": "c"},
        "absent": {"budget": 0, "unit": "ms", "what": "d"},
        "if-i-m": {"budget": 0, "unit": "ms", "what": "counted, not timed"},
    }
    budgets.write_text(yaml.safe_dump(entries))
    files = ["--output", str(folder / "cost.json"), "--table", str(folder / "budgets.csv")]
    command = ["measure_cost", "--models", *models, "--repeats", "1", "--device", "cpu"]
    assert main([*command, "--budgets", str(budgets), *files]) == 0
    return json.loads((folder / "cost.json").read_text()), pd.read_csv(folder / "budgets.csv")


def test_own_networks_are_measured_and_published_shapes_predicted(made):
    record, _ = made
    entries = {entry["name"]: entry for entry in record["networks"]}
    assert list(entries)[: len(true_shapes())] == list(true_shapes())
    assert entries["controlnet_depth"]["size"] == 8, "that of the latent UNet beside it"
    assert entries["if_xl"]["batch"] == 8 and entries["if_ii"]["batch"] == 4
    for name, entry in entries.items():
        measured = entry.get("measured")
        assert (measured is None) == (name in true_shapes())
        if measured is not None:
            fast = {"bfloat16"} if fast_bfloat16("cpu") else set()
            assert set(measured) == {"float32", *fast} and entry["precision"] == "float32"
            assert all(times["ms"] > 0 and times["cpu_ms"] > 0 for times in measured.values())
    assert record["machine"]["threads"] == 1
    assert {m["compute_share"] for m in record["predicted_for"].values()} == {0.7, 0.65}


def test_networks_are_timed_as_the_loaders_run_them(tiny_models):
    for name, load in (("if_m", load_base), ("if_ii", load_upsampler)):
        network = load(tiny_models / name).network
        (shape, *_) = shapes_of_folder(name, tiny_models / name, views=(1, 1))
        assert loaded_as(shape, "cpu") == (network.precision, network.memory_format)
        assert loaded_as(shape, "cuda") == (torch.float16, torch.channels_last)
    published = true_shapes()
    for device, text in (("cpu", torch.float32), ("cuda", torch.float16)):
        assert loaded_as(published["t5-xxl"], device)[0] == text
        assert loaded_as(published["sd-vae"], device)[0] == torch.float32


def test_what_is_timed_has_that_layout(monkeypatch, tmp_path):
    seen = []

    def measured(network, inputs, repeats):
        layout = torch.channels_last
        weights = [w for w in network.parameters() if w.ndim == 4 and w.shape[2] > 1]
        seen.append((weights[0].dtype, all(w.is_contiguous(memory_format=layout) for w in weights)))
        seen.append((inputs["sample"].dtype, inputs["sample"].is_contiguous(memory_format=layout)))
        return Measured(1.0, 1.0)

    monkeypatch.setattr("castex.cost.measure", measured)
    (shape, *_) = shapes_of_folder("if_xl", write_folders(tmp_path)["if_xl"], views=(1, 1))
    assert set(timed(shape, "cpu", 1, ("auto", "bfloat16"))["measured"]) == {"float32", "bfloat16"}
    assert seen == [(torch.float32, True)] * 2 + [(torch.bfloat16, True)] * 2


def test_budgets_are_compared(made, root):
    table = made[1].set_index("item")
    expected = {"if_xl": "PASS", "if_ii": "FAIL", "absent": "NOT RUN", "if-i-m": "NOT RUN"}
    assert table["verdict"].to_dict() == expected
    (own,) = (entry for entry in made[0]["networks"] if entry["name"] == "if_xl")
    judged = own["measured"]["float32"]["cpu_ms"]
    assert table.loc["if_xl", "value"] == pytest.approx(judged, abs=1e-3), "in the loaders' precision"
    assert table.loc["if_xl", "what"] == "a, b"
    shipped = yaml.safe_load((root / "data" / "cost_budgets.yaml").read_text())
    assert {name: entry["budget"] for name, entry in shipped.items()} == {"if_xl": 250, "if_ii": 700}
    assert all(set(entry) == {"budget", "unit", "what"} for entry in shipped.values())


@pytest.fixture(scope="module")
def scores(made):
    """The tidy table of the exhibit, as it is written and read."""
    data = Path(__file__).resolve().parents[1] / "data"
    tables = (pd.read_csv(data / name) for name in ("cost_published.csv", "reported.csv"))
    return exhibit.load(made[0], *tables)


def test_the_exhibit_draws_itself(made, scores):
    figure = exhibit.draw(scores, made[0])
    seconds, table = figure.axes
    assert [label.get_text() for label in seconds.get_yticklabels()] == list(exhibit.LABELS.values())
    assert len(seconds.get_legend().get_texts()) == 4
    cells = {key: cell.get_text().get_text() for key, cell in table.tables[0].get_celld().items()}
    row = next(row for (row, column), text in cells.items() if column == 0 and text == "if-i-xl")
    assert [cells[row, column] for column in (1, 2, 3, 9)] == ["16", "4305", "4300", "-"]
    sizes_beside = {
        cells[row, 3] for (row, column), text in cells.items() if column == 0 and "if-ii-l" in text
    }
    assert sizes_beside == {"1200"}, "one published number for all candidates"
    note = figure.get_supxlabel()
    assert "A100 80GB 70% of peak arithmetic" in note and "not settled" in note
    spans = [
        line.get_xdata() for line in seconds.lines if len(line.get_xdata()) == 2 and line.get_marker() == "|"
    ]
    assert len(spans) == 6 and all(high / low > 1.2 for low, high in spans), "all candidates, two syntheses"
    exhibit.plt.close(figure)


def test_only_what_is_settled_is_a_claim(scores, tmp_path, root):
    scores.to_csv(tmp_path / "cost.csv", index=False)
    measured = Exhibit("cost", pd.read_csv(tmp_path / "cost.csv"), "cost.csv")
    ledger = parse_ledger(yaml.safe_load((root / "data" / "claims.yaml").read_text()))
    reported = pd.read_csv(root / "data" / "reported.csv")
    verdicts = decide(ledger, reported, [measured], replicates="reduced").set_index("claim")
    assert list(verdicts.index) == ["cost-size-m", "cost-size-xl"] and (verdicts["verdict"] == "PASS").all()
    assert verdicts.loc["cost-size-xl", "ours"] == pytest.approx(4.305, abs=1e-3)
    table = undecided(ledger, reported, [measured]).set_index("claim")
    beside = table.loc[table["exhibit"] == "cost", "ours"]
    assert len(beside) == 14 and beside.notna().all()
    assert beside["results_table.v2.castex-xl.seconds"] == pytest.approx(122, rel=0.03)
    found = scores[scores["variant"] != "reported"].groupby(["method", "metric"])["value"].min()
    for name in ("castex-m-l", "castex-xl-l"):
        assert beside[f"results_table.v2.{name}.size"] == found[name, "size"], "the smallest candidate"
        assert beside[f"results_table.v1.{name}.seconds"] == found[name, "seconds_a100_eager"]
    wrong = measured.rows["metric"].eq("size") & measured.rows["method"].eq("castex-xl")
    rows = measured.rows.assign(value=measured.rows["value"].where(~wrong, 4.4))
    verdict = decide(ledger, reported, [Exhibit("cost", rows, "cost.csv")], replicates="reduced")
    assert list(verdict.loc[verdict["verdict"] == "FAIL", "claim"]) == ["cost-size-xl"]


def test_a_base_model_of_another_depth_fails_its_claim(root):
    """A residual block more or less at each level; with one more IF-I-M passes, as its claim says."""
    ledger = parse_ledger(yaml.safe_load((root / "data" / "claims.yaml").read_text()))
    bounds = {claim.id: (claim.at_least, claim.at_most) for claim in ledger.claims}
    for name, layers, passes in (("m", 2, False), ("m", 4, True), ("xl", 2, False), ("xl", 4, False)):
        shape, (least, most) = true_shapes()[f"if-i-{name}"], bounds[f"cost-size-{name}"]
        other = dataclasses.replace(shape, config={**shape.config, "layers_per_block": layers})
        size = sum(weight.numel() for weight in build(other).parameters()) / 1e9
        assert (least <= size <= most) == passes


def test_counting_downloads_nothing(root):
    """At the paper scale all models are those of repositories, most behind a licence to be accepted."""
    paper = ["cost", "--forceall", "--configfile", "config/paper.yaml"]
    assert planned(root, *paper) == {"cost": 1, "measure_cost": 1}
    own = ["--config", "models={vae: {folder: data/mini/sd}}"]
    assert planned(root, *paper, *own) == {"cost": 1, "measure_cost": 1}
    shell = snakemake(root, "-n", "-p", *paper, *own).stdout
    assert "--models vae=data/mini/sd --views" in shell, "a folder that is here is counted"


def test_the_verb_prints_a_table(tmp_path, capsys):
    folders = write_folders(tmp_path)
    output = tmp_path / "cost.json"
    options = ["--measure", "--device", "cpu", "--repeats", "1", "--precision", "float32", "--views", "1"]
    assert main(["cost", "--model", str(folders["if_xl"]), *options, "--output", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["if_xl", "if_xl/text_encoder"]
    assert all(float(line.split()[-1]) > 0 for line in lines[1:3])
    record = json.loads(output.read_text())
    assert [entry["batch"] for entry in record["networks"]] == [2, 2]
    assert set(record["networks"][0]["measured"]) == {"float32"}
    assert main(["cost", "--model", str(folders["clip"]), *options[:-4], "--views", "1"]) == 0
    assert float(capsys.readouterr().out.splitlines()[1].split()[-1]) > 0, "in the loaders' precision"


def test_the_verb_knows_the_published_shapes(capsys):
    assert main(["cost", "--model", "clip-vit-b-32"]) == 0
    cells = capsys.readouterr().out.splitlines()[1].split()
    assert cells[:3] == ["clip-vit-b-32", "8", "151.28"] and cells[-1] == "-"


def test_a_lock_file_names_the_folder(tmp_path, capsys):
    folder = write_folders(tmp_path)["clip"]
    sums = (folder / SUMS).read_text().split()
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"folder": str(folder), "files": {sums[1]: sums[0]}}))
    assert main(["cost", "--model", str(lock)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("clip ")


def test_a_controlnet_is_told_its_size(tmp_path):
    folder, output = write_folders(tmp_path)["controlnet_depth"], tmp_path / "cost.json"
    flops = []
    for size in ("8", "16"):
        options = ["--latent-size", size, "--output", str(output)]
        assert main(["cost", "--model", str(folder), *options]) == 0
        flops.append(json.loads(output.read_text())["networks"][0]["flops"])
    assert 3.5 * flops[0] < flops[1] < 16 * flops[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cost", "--model", "if-i-xxl"], "--model if-i-xxl is no folder and no published shape"),
        (["cost", "--model", "if-i-m", "--views", "0"], "--views and --repeats have to be at least 1"),
        (["measure_cost", "--models", "if_m", "--output", "no"], "--models if_m: write it as NAME=PATH"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_cuda_is_asked_for_in_vain(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["cost", "--model", "if-i-m", "--device", "cuda"]) == 2
    assert "no CUDA device that torch sees" in capsys.readouterr().err
