"""Choose how pip should install torch, so that a machine without an NVIDIA GPU never downloads CUDA.

Prints pip's arguments on one line. Used by `make env`; needs nothing but the standard library and pip.

1. An NVIDIA GPU, or no Linux: the ordinary wheel of the package index.
2. pip already resolves the pinned version to a CPU wheel (a local wheel folder, a mirror): that one.
3. PyTorch's own CPU index holds that version: that one.
4. Otherwise the ordinary wheel, with a warning about its size.
"""

from __future__ import annotations

import http.client
import json
import platform
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TIMEOUT_S = 10
DRY_RUN_S = 120


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver is loaded or its tool lists a device."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listed = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def resolves_to_cpu_wheel(requirement: str) -> bool:
    """Whether plain pip would take a CPU wheel (a dry run: package indexes send metadata, no wheel)."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
    command += ["--ignore-installed", "--only-binary", "torch", "--report", "-", requirement]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DRY_RUN_S)
    except subprocess.TimeoutExpired:
        return False
    if found.returncode != 0:
        return False
    try:
        versions = [item["metadata"]["version"] for item in json.loads(found.stdout)["install"]]
    except (ValueError, KeyError):
        return False
    return any("+cpu" in version for version in versions)


def cpu_index_has(requirement: str) -> bool:
    """Whether PyTorch's CPU index answers and holds this version for this Python and processor."""
    version = requirement.removeprefix("torch==")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheel = rf"torch-{re.escape(version)}(%2B|\+)cpu-{tag}-{tag}-[a-z0-9_.]*{platform.machine()}\.whl"
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=TIMEOUT_S) as answer:
            page = answer.read(20_000_000).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        return False
    return re.search(wheel, page) is not None


def pip_arguments(
    requirement: str,
    *,
    system: str = sys.platform,
    gpu: Callable[[], bool] = has_nvidia_gpu,
    local: Callable[[str], bool] = resolves_to_cpu_wheel,
    index: Callable[[str], bool] = cpu_index_has,
) -> tuple[list[str], str]:
    """pip's arguments for torch, and one sentence that says why."""
    if not system.startswith("linux"):
        return [requirement], "not Linux: the ordinary wheel of this platform"
    if gpu():
        return [requirement], "an NVIDIA GPU is present: the ordinary wheel, with CUDA"
    # What pip finds by itself comes first: a machine with its own wheels may have no other network.
    if local(requirement):
        return [requirement], "pip already finds a CPU wheel"
    if index(requirement):
        return ["--index-url", CPU_INDEX, "--no-deps", requirement], "no NVIDIA GPU: PyTorch's CPU index"
    return [requirement], (
        "WARNING: no NVIDIA GPU, but no CPU wheel could be found either; "
        "the ordinary wheel follows, with several gigabytes of CUDA"
    )


def pinned(constraints: str) -> str:
    """The torch line of a constraints file, for example `torch==2.13.0`."""
    match = re.search(r"^torch==[0-9.]+", constraints, flags=re.MULTILINE)
    if match is None:
        raise SystemExit("constraints.txt pins no torch; run `make constraints`")
    return match[0]


if __name__ == "__main__":
    chosen, reason = pip_arguments(pinned(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(f"torch: {reason}", file=sys.stderr)
    print(" ".join(chosen))
