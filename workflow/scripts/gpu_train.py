"""Train the mini family on a GPU machine that has no network and no Snakemake.

    python workflow/scripts/gpu_train.py train OUTPUT [--minutes 25] [--only if_xl ...]
    python workflow/scripts/gpu_train.py collect OUTPUT

`train` uses the machine's own Python and torch, and the packages that `make gpu-pack` brought (see
`gpu_check.py`). The corpus is rendered on the processor's cores; models that do not wait for each other
train side by side, because each alone leaves most of the device idle. What is finished lies in
OUTPUT/<model>, as the rules of the workflow would have written it; what is not leaves its checkpoint in
OUTPUT/checkpoints and goes on when the command is run again.

`collect`, where Snakemake is, puts finished models where the rules expect them, oldest first, so that
`snakemake --configfile config/gpu_training.yaml train_mini` measures them and trains nothing again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import gpu_check

ROOT = gpu_check.ROOT
SETTINGS = ROOT / "config" / "gpu_training.yaml"
# Each wave waits for the one before it.
WAVES = (("t5", "clip", "sd_vae"), ("if_xl", "if_ii", "sd"), ("if_m", "controlnet_depth"))
# Folders in the order in which the rules need each other.
ORDER = ("corpus", "judge_corpus", "t5", "sd_vae", "sd_codes", "clip", "if_xl", "if_m", "if_ii", "sd")
PATIENCE_S = 20.0


def commands(model: str, output: Path) -> list[list[str]]:
    """The verbs that make one model, in order; each ends with `--output` and its folder."""
    own = ["--settings", f"{output}/settings/{model}.json", "--checkpoints", f"{output}/checkpoints/{model}"]
    to, corpus = ["--output", f"{output}/{model}"], ["--corpus", f"{output}/corpus"]
    text, codes = ["--text", f"{output}/t5"], ["--codes", f"{output}/sd_codes"]
    vae, sd = ["--vae", f"{output}/sd_vae"], ["--sd", f"{output}/sd"]
    table = {
        "t5": [["train_t5", *own, *to]],
        "clip": [
            corpus_verb("judge_corpus", output),
            ["train_clip", *own, *corpus, "--judge-corpus", f"{output}/judge_corpus", *to],
        ],
        "sd_vae": [
            ["train_sd_vae", *own, *corpus, "--vae", str(ROOT / family_settings()["sd_vae"]["start"]), *to],
            ["encode_corpus", *corpus, *vae, "--output", f"{output}/sd_codes"],
        ],
        "if_m": [["train_base", *own, *corpus, *text, "--start", f"{output}/if_xl", *to]],
        "if_xl": [["train_base", *own, *corpus, *text, *to]],
        "if_ii": [["train_upsampler", *own, *corpus, *text, *to]],
        "sd": [["train_sd", *own, *codes, *vae, *to]],
        "controlnet_depth": [["train_controlnet", *own, *corpus, *codes, *sd, *to]],
    }
    return table[model]


def corpus_verb(name: str, output: Path) -> list[str]:
    """The verb that renders the pictures of all models (`corpus`), or those for the judge alone."""
    workers = str(max(len(os.sched_getaffinity(0)) - 1, 1))
    verb = ["corpus", "--settings", f"{output}/settings/{name}.json", "--workers", workers]
    verb += ["--held-out"] if name == "judge_corpus" else []
    return [*verb, "--meshes", *map(str, corpus_meshes()), "--output", f"{output}/{name}"]


def finished(verb: list[str]) -> bool:
    """Whether a verb has written its folder, by the file that each writes last."""
    folder = Path(verb[verb.index("--output") + 1])
    return any((folder / last).exists() for last in ("training.json", "codes.json", "corpus.json"))


def family_settings() -> dict[str, dict[str, Any]]:
    """The settings of every training with the overlay for a GPU laid over them, validated."""
    from castex.config import load_config

    checked = load_config("mini", SETTINGS).train.model_dump(mode="json")
    for told in checked.values():
        # As the rule `resolve_train` leaves it out: a budget changes no weight.
        told.get("training", told).pop("minutes")
    return checked


def write_settings(output: Path) -> None:
    """The settings files, in the very bytes that the workflow writes."""
    from castex.config import load_config
    from castex.files import write_json

    checked = load_config("mini", SETTINGS)
    for name in ("corpus", "judge_corpus"):
        write_json(output / f"settings/{name}.json", getattr(checked, name).model_dump(mode="json"))
    for name, told in family_settings().items():
        path = output / f"settings/{name}.json"
        changed = path.exists() and json.loads(path.read_text()) != told
        if changed and (output / name).exists():
            sys.exit(f"{output / name} was trained with other settings; give another folder, or remove it")
        write_json(path, told)


def start(verb: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Run one verb of the package with the packed packages behind the machine's own."""
    path = f"import sys; sys.path.append({str(gpu_check.SITE)!r})"
    code = f"{path}; from castex.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    environment["OMP_NUM_THREADS"] = "2"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-c", code, *verb], cwd=ROOT, env=environment, stderr=stream, stdout=stream
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a child; one that does not listen is killed."""
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def train(models: list[str], output: Path, deadline: float) -> list[str]:
    """Train some models side by side; the names of those that did not finish."""
    queues = {model: [v for v in commands(model, output) if not finished(v)] for model in models}
    running: dict[str, subprocess.Popen[bytes]] = {}
    failed: list[str] = []
    try:
        while running or any(queues.values()):
            for model, queue in queues.items():
                if queue and model not in running:
                    running[model] = start(queue.pop(0), output / "logs" / f"{model}.log")
            time.sleep(1)
            for model, process in list(running.items()):
                if process.poll() is None and time.monotonic() > deadline:
                    stop(process)
                if process.poll() is None:
                    continue
                del running[model]
                if process.returncode != 0:
                    failed.append(model)
                    queues[model].clear()
    finally:
        for process in running.values():
            stop(process)
    return failed


def corpus_meshes() -> list[Path]:
    """The shipped meshes of the corpus split, in the order of the asset sheet."""
    header, *rows = [line.split("\t") for line in (ROOT / "data/assets.tsv").read_text().splitlines()]
    chosen = [dict(zip(header, row, strict=False)) for row in rows]
    names = [row["asset"] for row in chosen if row["source"] == "mini" and row["split"] == "corpus"]
    return [ROOT / "data/mini/meshes" / f"{name}.glb" for name in names]


def train_family(output: Path, minutes: float, only: list[str] | None) -> int:
    """Render the corpus, then train wave by wave until everything is made or the time is over."""
    deadline = time.monotonic() + 60 * minutes
    gpu_check.install()
    sys.path.insert(0, str(ROOT / "src"))
    write_settings(output)
    verb = corpus_verb("corpus", output)
    if not finished(verb) and start(verb, output / "logs/corpus.log").wait() != 0:
        sys.exit(f"the corpus was not rendered; see {output}/logs/corpus.log")
    unfinished: list[str] = []
    for wave in WAVES:
        unfinished += train([m for m in wave if only is None or m in only], output, deadline)
    print(f"unfinished: {', '.join(unfinished)}" if unfinished else f"everything is in {output}")
    return 1 if unfinished else 0


def collect(output: Path, target: Path = ROOT / "results" / "train") -> int:
    """Copy settings and finished folders to `target`; each gets a later time than what it was made from."""
    # Just past: a clone may be minutes old, and what a model was made from must not be newer than it.
    moment = time.time() - 1
    for name in ("settings", *ORDER, "controlnet_depth"):
        source = output / name
        if not source.is_dir():
            print(f"{name} is not there")
            continue
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(source, target / name)
        moment += 0.05
        for path in (target / name).rglob("*"):
            os.utime(path, (moment, moment))
    print("now: snakemake --cores all --configfile config/gpu_training.yaml train_mini")
    return 0


def main() -> int:
    """Dispatch."""
    models = [model for wave in WAVES for model in wave]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("train", "collect"))
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=25.0, help="wall-clock time for everything (25)")
    parser.add_argument("--only", nargs="+", choices=models, help="only these; what they need must be there")
    arguments = parser.parse_args()
    if arguments.action == "collect":
        return collect(arguments.output.resolve())
    return train_family(arguments.output.resolve(), arguments.minutes, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
