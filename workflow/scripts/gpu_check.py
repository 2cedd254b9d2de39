"""Run the CUDA tests with the Python that a GPU machine has, which may have no network and no environment.

`make gpu-pack`, where there is a network, fills the ignored folder `.gpu`: wheels of everything but torch,
and the source of nvdiffrast at its tag. `make gpu-check`, on the GPU machine, installs what its Python lacks
from there into `.gpu/site`, builds nvdiffrast if a CUDA compiler is at hand, and runs the tests with the
package on PYTHONPATH. Needs nothing but the standard library, pip, and a torch that sees the device.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / ".gpu"
SITE = PACK / "site"
NVDIFFRAST_TAG = "v0.4.0"
NVDIFFRAST = "https://github.com/NVlabs/nvdiffrast"
# What the tests import, by the name that pip knows; torch is the machine's own.
NEEDED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "PIL": "pillow",
    "pytest": "pytest",
    "hypothesis": "hypothesis",
    "jaxtyping": "jaxtyping",
    "beartype": "beartype",
    "pydantic": "pydantic",
    "yaml": "pyyaml",
    "safetensors": "safetensors",
    "tqdm": "tqdm",
    "skimage": "scikit-image",
    "tifffile": "tifffile",
    "embreex": "embreex",
    "xatlas": "xatlas",
    "trimesh": "trimesh",
    "diffusers": "diffusers",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "sentencepiece": "sentencepiece",
    "huggingface_hub": "huggingface-hub",
    "pandas": "pandas",
    "ninja": "ninja",
}


def pins() -> list[str]:
    """The pinned versions, without torch and what only torch needs."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not re.match(r"(torch|nvidia-|cuda-|triton)\b", line)]


def pack() -> None:
    """Download wheels and clone nvdiffrast, whose licence is for research and forbids redistribution."""
    PACK.mkdir(exist_ok=True)
    constraints = PACK / "constraints.txt"
    constraints.write_text("\n".join(pins()) + "\n")
    wheels = str(PACK / "wheels")
    command = [sys.executable, "-m", "pip", "download", "-q", "-d", wheels, "-c", str(constraints)]
    subprocess.run([*command, *NEEDED.values()], check=True)
    if not (PACK / "nvdiffrast").is_dir():
        clone = ["git", "clone", "-q", "--depth", "1", "--branch", NVDIFFRAST_TAG, NVDIFFRAST]
        subprocess.run([*clone, str(PACK / "nvdiffrast")], check=True)


def install() -> None:
    """Bring what this Python lacks from the pack; nothing else of the machine is touched."""
    missing = [name for module, name in NEEDED.items() if not found(module)]
    if missing:
        arguments = ["--no-index", "--find-links", str(PACK / "wheels"), "--target", str(SITE)]
        pip(
            [*arguments, "--no-deps", *missing],
            f"{', '.join(missing)} could not be installed; run `make gpu-pack`",
        )
    if not found("nvdiffrast"):
        source = PACK / "nvdiffrast"
        if not source.is_dir():
            print(f"nvdiffrast is not installed and {source} does not exist: its tests will say so")
            return
        pip(
            ["--no-build-isolation", "--no-deps", "--target", str(SITE), str(source)],
            "nvdiffrast did not build",
        )


def found(module: str) -> bool:
    """Whether a module can be imported here, the pack included."""
    if str(SITE) not in sys.path:
        sys.path.append(str(SITE))
    importlib.invalidate_caches()
    return importlib.util.find_spec(module) is not None


def pip(arguments: list[str], failure: str) -> None:
    """Run pip; a failure is a sentence, and the tests still run with what there is."""
    command = [sys.executable, "-m", "pip", "install", "-q", *arguments]
    if subprocess.run(command, check=False).returncode != 0:
        print(failure, file=sys.stderr)


def check() -> int:
    """Install, then run the tests that need CUDA; the machine's own packages win over the pack."""
    install()
    # PYTHONPATH would put the pack before the machine's packages: a .pth-like append keeps them first.
    start = f"import sys; sys.path.append({str(SITE)!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    arguments = ["-m", "gpu", "-rA", "--no-header", *sys.argv[2:]]
    return subprocess.run(
        [sys.executable, "-c", start, *arguments], cwd=ROOT, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    actions = {"pack": pack, "check": check}
    if len(sys.argv) < 2 or sys.argv[1] not in actions:
        sys.exit("usage: gpu_check.py pack | check [pytest options]")
    sys.exit(actions[sys.argv[1]]())
