"""Train the mini family on a GPU machine that has no network, no environment and no Snakemake.

    python workflow/scripts/gpu_train.py OUTPUT [--minutes 25] [--only if_xl ...]

Uses the machine's own Python and torch, and the packages that `make gpu-pack` brought (see `gpu_check.py`).
The corpus is rendered on the processor's cores; models that do not wait for each other train side by
side, because each alone leaves most of the device idle. What is finished lies in OUTPUT/<model>, as the
rules of the workflow would have written it; what is not leaves its checkpoint in OUTPUT/checkpoints and goes
on when the command is run again. The yardsticks are measured afterwards, by `snakemake train_mini`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import gpu_check

ROOT = gpu_check.ROOT
SETTINGS = ROOT / "config" / "gpu_training.yaml"
# Each wave waits for the one before it.
WAVES = (("t5", "clip", "sd_vae"), ("if_xl", "if_m", "if_ii", "sd"), ("controlnet_depth",))


def commands(model: str, output: Path) -> list[list[str]]:
    """The verbs that make one model, in order."""
    own = ["--settings", f"{output}/settings/{model}.json", "--checkpoints", f"{output}/checkpoints/{model}"]
    corpus, text, to = (
        ["--corpus", f"{output}/corpus"],
        ["--text", f"{output}/t5"],
        ["--output", f"{output}/{model}"],
    )
    codes, vae, sd = (
        ["--codes", f"{output}/sd_codes"],
        ["--vae", f"{output}/sd_vae"],
        ["--sd", f"{output}/sd"],
    )
    encode = ["encode_corpus", *corpus, *vae, "--output", f"{output}/sd_codes"]
    table = {
        "t5": [["train_t5", *own, *to]],
        "clip": [["train_clip", *own, *corpus, *to]],
        "sd_vae": [["train_sd_vae", *own, *corpus, "--vae", str(ROOT / "data/mini/vae"), *to], encode],
        "if_m": [["train_base", *own, *corpus, *text, *to]],
        "if_xl": [["train_base", *own, *corpus, *text, *to]],
        "if_ii": [["train_upsampler", *own, *corpus, *text, *to]],
        "sd": [["train_sd", *own, *codes, *vae, *to]],
        "controlnet_depth": [["train_controlnet", *own, *corpus, *codes, *sd, *to]],
    }
    return table[model]


def write_settings(output: Path) -> None:
    """The settings of every training, as the rule `resolve_train` writes them."""
    import yaml

    from castex.settings.family import FamilySettings
    from castex.settings.training import CorpusSettings

    overlay = yaml.safe_load(SETTINGS.read_text())["train"]
    family = FamilySettings()
    (output / "settings").mkdir(parents=True, exist_ok=True)
    for name in FamilySettings.model_fields:
        own = getattr(family, name).model_dump(mode="json")
        merged = merge(own, overlay.get(name, {}))
        checked = type(getattr(family, name)).model_validate(merged)
        (output / "settings" / f"{name}.json").write_text(json.dumps(checked.model_dump(mode="json")))
    (output / "settings" / "corpus.json").write_text(json.dumps(CorpusSettings().model_dump(mode="json")))


def merge(below: dict, above: dict) -> dict:
    """`above` laid over `below`, mapping by mapping."""
    both = {**below, **above}
    return {k: merge(below[k], v) if isinstance(v, dict) and k in below else v for k, v in both.items()}


def start(verb: list[str], log: Path) -> subprocess.Popen:
    """Run one verb of the package with the packed packages behind the machine's own."""
    path = f"import sys; sys.path.append({str(gpu_check.SITE)!r})"
    code = f"{path}; from castex.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "2",
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream:
        return subprocess.Popen(
            [sys.executable, "-c", code, *verb], cwd=ROOT, env=environment, stderr=stream, stdout=stream
        )


def train(models: list[str], output: Path, deadline: float) -> list[str]:
    """Train some models side by side; the names of those that did not finish."""
    queues = {model: commands(model, output) for model in models}
    running: dict[str, subprocess.Popen] = {}
    failed = []
    while queues or running:
        for model in [name for name in queues if name not in running]:
            verb = queues[model].pop(0)
            running[model] = start(verb, output / "logs" / f"{model}.log")
            if not queues[model]:
                del queues[model]
        time.sleep(1)
        for model, process in list(running.items()):
            late = time.monotonic() > deadline
            if late and process.poll() is None:
                process.terminate()
                process.wait()
            if process.poll() is None:
                continue
            del running[model]
            if process.returncode != 0:
                failed.append(model)
                queues.pop(model, None)
    return failed


def main() -> int:
    """Render the corpus, then train wave by wave until everything is made or the time is over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=25.0, help="wall-clock time for everything (25)")
    parser.add_argument("--only", nargs="*", help="only these models; what they need must be there")
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes
    gpu_check.install()
    sys.path.insert(0, str(ROOT / "src"))
    output = arguments.output.resolve()
    write_settings(output)
    meshes = [str(path) for path in corpus_meshes()]
    corpus = ["corpus", "--settings", f"{output}/settings/corpus.json", "--meshes", *meshes]
    workers = str(max(len(os.sched_getaffinity(0)) - 1, 1))
    if (
        start(
            [*corpus, "--workers", workers, "--output", f"{output}/corpus"], output / "logs/corpus.log"
        ).wait()
        != 0
    ):
        sys.exit(f"the corpus was not rendered; see {output}/logs/corpus.log")
    unfinished = []
    for wave in WAVES:
        chosen = [model for model in wave if arguments.only is None or model in arguments.only]
        unfinished += train(
            [m for m in chosen if not (output / m / "training.json").exists()], output, deadline
        )
    print(f"unfinished: {', '.join(unfinished)}" if unfinished else f"everything is in {output}")
    return 1 if unfinished else 0


def corpus_meshes() -> list[Path]:
    """The shipped meshes of the corpus split, in the order of the asset sheet."""
    rows = [line.split("\t") for line in (ROOT / "data/assets.tsv").read_text().splitlines()]
    header = rows[0]
    chosen = [dict(zip(header, row, strict=False)) for row in rows[1:]]
    names = [row["asset"] for row in chosen if row["source"] == "mini" and row["split"] == "corpus"]
    return [ROOT / "data/mini/meshes" / f"{name}.glb" for name in names]


if __name__ == "__main__":
    sys.exit(main())
