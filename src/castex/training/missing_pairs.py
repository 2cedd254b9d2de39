"""The pairs of colour and material that the corpus leaves out, for the judge alone.

Generators never see them, so that what they make of such a prompt is their own; but a judge cannot name what
nobody ever showed it. Same meshes, same lights and same cameras as in the corpus.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from castex.errors import InputError
from castex.files import fingerprint, read_json, sha256, write_json
from castex.light import read_light
from castex.prepare import prepare
from castex.progress import Progress
from castex.scene_file import load_scene
from castex.settings.training import CorpusSettings
from castex.training.captions import held_out
from castex.training.corpus import Studio, Work, make_shard
from castex.training.corpus_run import RECORD
from castex.training.materials import COLOURS, MATERIALS


def missing_work(mesh: str) -> list[Work]:
    """One shard per material that has a colour which the corpus does not hold."""
    pairs = [(kind, colour) for kind in MATERIALS for colour in COLOURS if held_out(kind, colour)]
    return [Work(mesh, kind, (colour,)) for kind, colour in pairs]


def make_missing(corpus: Path, meshes: list[Path], folder: Path) -> dict[str, Any]:
    """Render the missing pairs of every mesh of a finished corpus; shards that exist already are kept.

    InputError for a corpus that is not finished, or for meshes that it was not made of.
    """
    if not (corpus / RECORD).is_file():
        raise InputError(f"{corpus} holds no finished corpus ({RECORD} is missing); run the rule `corpus`")
    told = read_json(corpus / RECORD)
    known = {name.rsplit("-", 1)[0] for name in told["shards"]}
    if strange := sorted({path.stem for path in meshes} ^ known):
        raise InputError(
            f"the corpus in {corpus} and the meshes differ in {strange[0]}; give the same meshes"
        )
    settings = CorpusSettings.model_validate(told["settings"])
    lights = [read_light(corpus / "lights" / f"{name}.safetensors") for name in told["lights"]]
    started, progress, made = time.monotonic(), Progress("judge_corpus", len(meshes)), list[Path]()
    for done, path in enumerate(meshes, start=1):
        studio = Studio(path.stem, prepare(load_scene(path), size=64, keep_uv=True).mesh, lights, settings)
        made += [make_shard(studio, work, folder) for work in missing_work(path.stem)]
        progress.update(done, path.stem)
    record = {
        "identity": fingerprint([told["identity"], "missing pairs"]),
        "settings": told["settings"],
        "lights": told["lights"],
        "seconds": round(time.monotonic() - started, 1),
        "shards": {path.name: sha256(path) for path in sorted(made)},
    }
    write_json(folder / RECORD, record)
    return record
