"""Shipping a trained mini model: its yardstick is checked, its files are copied, its card is written."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from castex.errors import WeightsError
from castex.files import copy, read_json, write_text
from castex.training.sitting import TRAINING
from castex.weights import SUMS, read_sums, verify, write_sums

YARDSTICK, SHEET = "yardstick.json", "samples.png"
ABOUT = {
    "if_m": "The small stage I of the mini cascade: an `IFPipeline` that draws 32 px pictures, in place of "
    "DeepFloyd IF-I-M.",
    "if_xl": "The larger stage I of the mini cascade: an `IFPipeline` that draws 32 px pictures, in place of "
    "DeepFloyd IF-I-XL.",
    "if_ii": "Stage II of the mini cascade: an `IFSuperResolutionPipeline` from 32 to 128 px, in place of "
    "DeepFloyd IF-II-L. Its condition was noised to levels of the whole schedule.",
    "sd": "A latent text-to-image model at 128 px: a `StableDiffusionPipeline`, for Stable Diffusion. "
    "Its autoencoder continues that of Figure 2 on renders.",
    "controlnet_depth": "A depth `ControlNetModel` for the mini Stable Diffusion.",
    "clip": "The judge: a `CLIPModel` that names colours and materials and yields the features of "
    "distances. It learned from a half of the corpus that no generator saw.",
}
CURVE_ROWS = 10
# What a card says of any model; the generators' variance channels are named, because loaders drop them.
COMMON = (
    "Half-precision safetensors in the layout of `save_pretrained`; licence Apache-2.0. Trained by this "
    "package on pictures that it rendered itself."
)
LINEAR = "Pictures are linear, without a gamma curve, as renders are during synthesis."
JUDGED = "It is shown pictures with an sRGB curve, as the published one is."
HELD_OUT = "meshes, lights and some pairs of colour and material were held out"
# The judge must name what a generator may draw, in the light that it is judged in.
SHOWN_ALL = "meshes were held out, pairs and lights were not: other pictures show them (`judge_corpus`)"
UNTRAINED = "The UNet's three variance channels exist, so that shapes agree; they are not trained, and zero."


def ship(source: Path, output: Path) -> dict[str, Any]:
    """Copy the model folder `source`, whose yardstick must be passed, and return the yardstick.

    WeightsError for an altered folder, a yardstick of other weights, or one that is not reached.
    """
    files = verify(source).files
    if not (source / YARDSTICK).is_file():
        raise WeightsError(f"{source} was not measured ({YARDSTICK} is missing); run `snakemake train_mini`")
    yardstick, training = read_json(source / YARDSTICK), read_json(source / TRAINING)
    if yardstick["files"] != files:
        raise WeightsError(f"{source}/{YARDSTICK} measured other weights; measure the model again")
    if not yardstick["passed"]:
        raise WeightsError(
            f"{source} is not shipped: it does not reach its yardstick, see {source / YARDSTICK}; train "
            f"longer or change `train.{source.name}` in the configuration"
        )
    if source.name not in ABOUT:
        raise WeightsError(f"{source.name} is no model of the mini family; choose from {', '.join(ABOUT)}")
    old = _check_output(output, source.name)
    extra = [name for name in (YARDSTICK, TRAINING, SHEET) if (source / name).is_file()]
    for name in (*files, *extra):
        copy(source / name, output / name)
    write_text(output / "README.md", card(source.name, training, yardstick))
    write_sums(output, list(files))
    for name in {*old} - {*files, *extra, "README.md", SUMS}:
        (output / name).unlink()
    return dict(yardstick)


def _check_output(output: Path, name: str) -> list[str]:
    """Files of an older model of this name; WeightsError when something else lies at `output`."""
    if output.name != name:
        raise WeightsError(f"{output} would hold {name}; name its folder {output.parent / name}")
    found = sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    if found and SUMS not in found:
        raise WeightsError(f"{output} holds other files, such as {found[0]}; nothing is shipped over them")
    known = {*read_sums(output), YARDSTICK, TRAINING, SHEET, "README.md", SUMS} if found else set()
    if strange := [file for file in found if file not in known]:
        raise WeightsError(f"{output} holds {strange[0]}, which no model of ours left there; move it away")
    return found


def card(name: str, training: Mapping[str, Any], yardstick: Mapping[str, Any]) -> str:
    """The README.md of one model, every number taken from the files of its training and measurement."""
    settings = training["settings"]
    counts = ", ".join(f"{part} {count:,}" for part, count in training["parameters"].items())
    cascade = UNTRAINED if name.startswith("if_") else ""
    seen, kept = (JUDGED, SHOWN_ALL) if name == "clip" else (LINEAR, HELD_OUT)
    data = f"- **Data**: pictures of the corpus, fingerprint `{_fingerprint(training['data'])}`; {kept}."
    making = (
        f"{training['steps']} steps of {settings['batch']} pictures, AdamW, peak learning rate "
        f"{settings['learning_rate']}, averaged weights, seed {settings['seed']}; {training['minutes']} "
        f"minutes on: {training['machine']} (torch {training['torch']})."
    )
    curve = training["curve"]
    step = max(len(curve) // CURVE_ROWS, 1)
    rows = "\n".join(f"| {at} | {loss:.5f} |" for at, loss in curve[step - 1 :: step])
    scores = "\n".join(f"| {item} | {value} |" for item, value in _flat("", yardstick))
    return f"""\
# Mini model `{name}`

{_filled(f"{ABOUT[name]} {COMMON} {seen} {cascade}")}

- **Parameters trained**: {counts}.
{_filled(data)}
{_filled(f"- **Training**: {making}")}
- **Made by**: `make train-mini`, shipped by `make ship-models`.

Measured on what it never saw:

| measure | value |
|---|---|
{scores}

Loss, averaged since the row before:

| step | loss |
|---|---|
{rows}
"""


def _fingerprint(data: Any) -> str:
    """The first digits of what identifies the pictures that a model learned from."""
    return str(data["corpus"] if isinstance(data, Mapping) else data)[:12]


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """The leaves of a yardstick as pairs; hashes and fingerprints stay in its file."""
    if isinstance(value, Mapping):
        if {"variant", "metric", "value"} <= value.keys():
            rest = [f"{k} {v}" for k, v in value.items() if k not in ("variant", "metric", "value")]
            yield f"{value['metric']} ({', '.join([value['variant'], *rest])})", _shown(value["value"])
            return
        if value.keys() == {"shown", "named", "share"}:
            yield f"{prefix}: {value['shown']} called {value['named']}", _shown(value["share"])
            return
        for key, inner in value.items():
            if key not in ("files", "pictures", "corpus", "control_files"):
                yield from _flat(f"{prefix} {key}".strip(), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(prefix, inner)
    else:
        yield prefix, _shown(value)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _filled(text: str) -> str:
    words = " ".join(text.split())
    indent = "  " if words.startswith("- ") else ""
    return textwrap.fill(words, 110, subsequent_indent=indent, break_on_hyphens=False)
