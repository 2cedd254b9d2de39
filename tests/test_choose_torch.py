"""Which torch `make env` installs: no machine without an NVIDIA GPU downloads CUDA unwarned."""

from __future__ import annotations

import http.client
import io
import json
import platform
import subprocess
import sys

import pytest

SCRIPT = "workflow/scripts/choose_torch.py"


@pytest.fixture
def script(root):
    namespace: dict = {"__name__": "choose_torch"}
    exec(compile((root / SCRIPT).read_text(), SCRIPT, "exec"), namespace)
    return namespace


def choose(script, *, system="linux", gpu=False, local=False, index=False):
    return script["pip_arguments"](
        "torch==9.9.9",
        system=system,
        gpu=lambda: gpu,
        local=lambda requirement: local and requirement == "torch==9.9.9",
        index=lambda requirement: index and requirement == "torch==9.9.9",
    )


def test_a_gpu_gets_the_ordinary_wheel(script):
    arguments, reason = choose(script, gpu=True, local=True, index=True)
    assert arguments == ["torch==9.9.9"] and "GPU is present" in reason


def test_a_wheel_that_pip_finds_goes_before_the_index(script):
    arguments, reason = choose(script, local=True, index=True)
    assert arguments == ["torch==9.9.9"] and "already finds a CPU wheel" in reason


def test_otherwise_pytorchs_cpu_index(script):
    arguments, _ = choose(script, index=True)
    assert arguments == ["--index-url", script["CPU_INDEX"], "--no-deps", "torch==9.9.9"]


def test_otherwise_a_warning(script):
    arguments, reason = choose(script)
    assert arguments == ["torch==9.9.9"] and "WARNING" in reason and "gigabytes" in reason


def test_other_systems_have_small_ordinary_wheels(script):
    assert choose(script, system="darwin", index=True)[0] == ["torch==9.9.9"]


def test_pins_come_from_the_constraints(script, root):
    assert script["pinned"]((root / "constraints.txt").read_text()).startswith("torch==2.")
    with pytest.raises(SystemExit, match="pins no torch"):
        script["pinned"]("torchmetrics==1.0\n")


@pytest.mark.parametrize(("version", "expected"), [("2.13.0+cpu", True), ("2.13.0", False)])
def test_pips_report_is_read(script, monkeypatch, version, expected):
    report = {"install": [{"metadata": {"name": "torch", "version": version}}]}

    def run(command, **_):
        assert "--dry-run" in command and "--no-deps" in command
        return subprocess.CompletedProcess(command, 0, stdout=json.dumps(report))

    monkeypatch.setattr(subprocess, "run", run)
    assert script["resolves_to_cpu_wheel"]("torch==2.13.0") is expected


@pytest.mark.parametrize(("code", "text"), [(1, ""), (0, "no json"), (0, "{}")])
def test_a_pip_that_cannot_answer_finds_nothing(script, monkeypatch, code, text):
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, code, stdout=text)
    )
    assert script["resolves_to_cpu_wheel"]("torch==2.13.0") is False


class Answer(io.BytesIO):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def index_with(script, monkeypatch, *wheels):
    page = "".join(f'<a href="/whl/cpu/{wheel}">{wheel}</a>' for wheel in wheels).encode()
    monkeypatch.setattr(script["urllib"].request, "urlopen", lambda *_, **__: Answer(page))


def test_the_index_must_hold_the_pinned_version_for_this_python(script, monkeypatch):
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    here = f"{tag}-{tag}-manylinux_2_28_{platform.machine()}.whl"
    for plus in ("+", "%2B"):
        index_with(script, monkeypatch, f"torch-9.9.9{plus}cpu-{here}")
        assert script["cpu_index_has"]("torch==9.9.9")
        assert not script["cpu_index_has"]("torch==9.9.8")
    index_with(script, monkeypatch, f"torch-9.9.9%2Bcpu-cp27-cp27-linux_{platform.machine()}.whl")
    assert not script["cpu_index_has"]("torch==9.9.9")


@pytest.mark.parametrize("error", [OSError("no route"), http.client.IncompleteRead(b"")])
def test_an_unreachable_index_is_no_error(script, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(script["urllib"].request, "urlopen", refuse)
    assert script["cpu_index_has"]("torch==9.9.9") is False


def test_the_installed_torch_brought_no_cuda_unless_there_is_a_gpu(script):
    if script["has_nvidia_gpu"]():
        pytest.skip("this machine has an NVIDIA GPU")
    listed = subprocess.run([sys.executable, "-m", "pip", "list"], capture_output=True, text=True, check=True)
    assert "nvidia-" not in listed.stdout and "torchvision" not in listed.stdout
