"""The workflow as a reader meets it: a whole run at the smoke scale, and what reruns when."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time

import pandas as pd
import pytest
import yaml
from snakemake_runs import EXHIBITS, SMOKE, WAITING, planned, snakemake


def copy_of_the_checkout(root, target):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)


@pytest.fixture(scope="session")
def finished(root_path, tmp_path_factory, worker_id):
    """A copy of the checkout in which the smoke scale ran to its end; shared by all workers."""
    shared = (
        tmp_path_factory.getbasetemp().parent if worker_id != "master" else tmp_path_factory.getbasetemp()
    )
    target = shared / "smoke"
    with (shared / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / ".finished").exists():
            copy_of_the_checkout(root_path, target)
            for command in (["init", "-q"], ["add", "-A"]):
                subprocess.run(["git", *command], cwd=target, check=True)
            snakemake(target, "--cores", "2", *SMOKE)
            (target / ".git" / "info" / "exclude").write_text(".finished\n")
            (target / ".finished").touch()
    return target


@pytest.fixture(scope="session")
def root_path():
    from conftest import ROOT

    return ROOT


@pytest.fixture
def edited(finished, tmp_path):
    """A private copy of the finished run, to be changed by one test."""
    shutil.copytree(finished, tmp_path / "run", symlinks=True)
    return tmp_path / "run"


def test_every_exhibit_is_there(finished):
    figures = finished / "results" / "smoke" / "figures"
    names = {path.name for path in figures.iterdir()}
    for figure in set(EXHIBITS) - WAITING - {"claims", "ledger"}:
        assert {f"{figure}.pdf", f"{figure}.png", f"{figure}.csv"} <= names
    assert {"claims.csv", "claims.html", "ledger.csv"} <= names
    claims = pd.read_csv(figures / "claims.csv")
    assert set(claims["verdict"]) <= {"PASS", "FAIL", "NOT RUN"}
    ledger = yaml.safe_load((finished / "data" / "claims.yaml").read_text())
    assert {claim["id"] for claim in ledger["claims"]} <= set(claims["claim"])
    assert len(claims[claims["rule"].isna()]) == 168


def test_tracked_and_generated_never_share_a_folder(finished):
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(status, cwd=finished, capture_output=True, text=True, check=True).stdout
    assert [line for line in listed.splitlines() if not line.startswith("A ")] == []


def test_nothing_to_be_done_the_second_time(finished):
    assert "Nothing to be done" in "".join(snakemake(finished, "--cores", "1", *SMOKE).stderr)


def test_touching_every_tracked_file_plans_nothing(edited):
    later = time.time() + 100
    for path in edited.rglob("*"):
        if path.is_file() and not {"results", ".snakemake", ".git"} & set(path.relative_to(edited).parts):
            os.utime(path, (later, later))
    assert planned(edited, *SMOKE) == {}


def test_one_learning_rate_reruns_its_arm_and_its_exhibits(edited):
    path = edited / "tests" / "smoke.yaml"
    path.write_text(
        path.read_text().replace(
            "pixel-dip: {size: 64, optimise: {", "pixel-dip: {size: 64, optimise: {learning_rate: 0.5, "
        )
    )
    assert planned(edited, *SMOKE) == {
        "all": 1,
        "resolve_variant": 1,
        "reconstruct": 3,
        "toy_reconstruction": 1,
        "toy_sensitivity": 1,
        "claims": 1,
        "ledger": 1,
    }


@pytest.mark.parametrize(
    ("module", "redrawn"),
    [
        ("claims", {"all", "claims"}),
        (
            "tally",
            {
                "all",
                "ablations",
                "cost",
                "relighting",
                "samples",
                "teaser",
                "texture_toy",
                "toy_reconstruction",
                "toy_sensitivity",
                "claims",
                "ledger",
            },
        ),
    ],
)
def test_editing_the_code_behind_verdicts_makes_them_again(edited, module, redrawn):
    """Code is no rerun trigger; for the cheap exhibits it is an input."""
    path = edited / "src" / "castex" / f"{module}.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert planned(edited, *SMOKE).keys() == redrawn


def test_a_failing_exhibit_says_why_in_its_log(edited):
    (edited / "data" / "claims.yaml").write_text("claims: [{id: x}]\nnot_run: []\n")
    done = snakemake(edited, "--cores", "1", *SMOKE, check=False)
    log = (edited / "results" / "smoke" / "logs" / "claims.log").read_text()
    assert done.returncode != 0
    assert log.startswith("claims.yaml: claims.0.exhibit: Field required") and log.count("\n") == 1


def test_editing_a_plot_redraws_it_alone(edited):
    path = edited / "figures" / "toy_sensitivity.py"
    path.write_text(path.read_text() + "\n# edited\n")
    jobs = planned(edited, *SMOKE)
    assert "reconstruct" not in jobs and "toy_reconstruction" not in jobs and jobs["toy_sensitivity"] == 1


def test_altered_weights_stop_the_run_and_are_named(edited):
    path = edited / "data" / "mini" / "sd" / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    shutil.rmtree(edited / "results" / "smoke" / "lock")
    done = snakemake(edited, "--cores", "1", "fetch_all", *SMOKE, check=False)
    assert done.returncode != 0
    assert "diffusion_pytorch_model.safetensors is altered or truncated" in done.stdout + done.stderr


def test_a_killed_run_continues(edited):
    """SIGKILL while the arms run; afterwards the same command finishes and no half-written file is left."""
    results = edited / "results" / "smoke"
    shutil.rmtree(results / "reconstructions")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = ["snakemake", "--cores", "1", *SMOKE]
    run = subprocess.Popen(
        command, cwd=edited, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(results.glob("reconstructions/*/*/*/theta.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(run.pid, 9)
    run.wait()
    snakemake(edited, "--unlock", *SMOKE)
    snakemake(edited, "--cores", "2", *SMOKE)
    assert not list(results.rglob("*partial*")) and not list(results.rglob(".checkpoints"))
    assert planned(edited, *SMOKE) == {}


def test_no_job_opens_a_socket(edited):
    """The whole run again in a network namespace without any interface, where the kernel allows one."""
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel does not allow network namespaces")
    shutil.rmtree(edited / "results" / "smoke")
    command = ["unshare", "-rn", "snakemake", "--cores", "2", *SMOKE]
    done = subprocess.run(command, cwd=edited, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_report_is_one_page(finished):
    snakemake(finished, "--report", "results/report.html", *SMOKE)
    page = (finished / "results" / "report.html").read_text()
    for name in set(EXHIBITS) - WAITING:
        assert name in page


# The autoencoder stands for the family: the others take hours, and their own tests train tiny ones.
TRAINED = ("measure_vae", "make_meshes")


def test_training_runs_through_its_rules_and_writes_nothing_under_data(edited):
    snakemake(edited, "--cores", "1", *TRAINED, *SMOKE)
    made = {path.name for path in (edited / "results" / "train" / "vae").iterdir()}
    assert {"config.json", "diffusion_pytorch_model.safetensors", "yardstick.json", "samples.png"} <= made
    assert planned(edited, *TRAINED, *SMOKE) == {}
    assert not (edited / "results" / "checkpoints" / "train_vae").exists()
    status = ["git", "status", "--porcelain", "--untracked-files=all", "data"]
    listed = subprocess.run(status, cwd=edited, capture_output=True, text=True, check=True).stdout
    assert [line for line in listed.splitlines() if not line.startswith("A ")] == []


def test_a_longer_sitting_does_not_train_a_finished_model_again(edited):
    snakemake(edited, "--cores", "1", *TRAINED, *SMOKE)
    path = edited / "tests" / "smoke.yaml"
    path.write_text(path.read_text().replace("minutes: 5", "minutes: 50"))
    assert planned(edited, *TRAINED, *SMOKE) == {}
    path.write_text(path.read_text().replace("batch: 2", "batch: 3"))
    assert "train_vae" in planned(edited, *TRAINED, *SMOKE)
