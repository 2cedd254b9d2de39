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

YARDSTICK, SHEET, CARD = "yardstick.json", "samples.png", "README.md"
NOTES = (YARDSTICK, TRAINING, SHEET)
TAUGHT = """
- **Start**: evenly spaced channels of `if_xl`, whose predictions it learned in place of the noise."""
VAE = "vae/"
ABOUT = {
    "if_m": "The small stage I of the mini cascade: an `IFPipeline` that draws 32 px pictures, in place of "
    "DeepFloyd IF-I-M.",
    "if_xl": "The larger stage I of the mini cascade: an `IFPipeline` that draws 32 px pictures, in place of "
    "DeepFloyd IF-I-XL.",
    "if_ii": "Stage II of the mini cascade: an `IFSuperResolutionPipeline` from 32 to 128 px, in place of "
    "DeepFloyd IF-II-L. Its condition was noised to levels of the whole schedule.",
    "sd": "A latent text-to-image model at 128 px: a `StableDiffusionPipeline`, for Stable Diffusion. "
    "Its autoencoder is that of Figure 2.",
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


def ship(source: Path, output: Path, autoencoder: Path | None = None) -> dict[str, Any]:
    """Copy the model folder `source`, whose yardstick must be passed, and return the yardstick.

    A latent model has an autoencoder inside; `autoencoder` is the folder where that was trained, and its
    yardstick must be passed as well. WeightsError for an altered folder, a yardstick of other weights, or one
    that is not reached.
    """
    if source.name not in ABOUT:
        raise WeightsError(f"{source.name} is no model of the mini family; choose from {', '.join(ABOUT)}")
    files, yardstick, training = _passed(source)
    notes = {name: source / name for name in NOTES if (source / name).is_file()}
    text = card(source.name, training, yardstick)
    inside = {name.removeprefix(VAE): sha for name, sha in files.items() if name.startswith(VAE)}
    if inside:
        if autoencoder is None:
            raise WeightsError(f"{source} has an autoencoder; say with --autoencoder where it was trained")
        made, measured, trained = _passed(autoencoder)
        if made != inside:
            raise WeightsError(f"{source} has another autoencoder than {autoencoder}; train it again")
        notes |= {VAE + name: autoencoder / name for name in NOTES if (autoencoder / name).is_file()}
        text += autoencoder_section(trained, measured)
    old = _check_output(output, source.name)
    for name in files:
        copy(source / name, output / name)
    for name, path in notes.items():
        copy(path, output / name)
    write_text(output / CARD, text)
    write_sums(output, list(files))
    for name in {*old} - {*files, *notes, CARD, SUMS}:
        (output / name).unlink()
    return dict(yardstick)


def _passed(source: Path) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
    """Files, yardstick and training of a folder that was measured as it is and found good."""
    files = verify(source).files
    if not (source / YARDSTICK).is_file():
        raise WeightsError(f"{source} was not measured ({YARDSTICK} is missing); run `snakemake train_mini`")
    yardstick = read_json(source / YARDSTICK)
    if yardstick["files"] != files:
        raise WeightsError(f"{source}/{YARDSTICK} measured other weights; measure the model again")
    if not yardstick["passed"]:
        raise WeightsError(
            f"{source} is not shipped: it does not reach its yardstick, see {source / YARDSTICK}; train "
            f"longer or change `train.{source.name}` in the configuration"
        )
    return files, dict(yardstick), dict(read_json(source / TRAINING))


def _check_output(output: Path, name: str) -> list[str]:
    """Files of an older model of this name; WeightsError when something else lies at `output`."""
    if output.name != name:
        raise WeightsError(f"{output} would hold {name}; name its folder {output.parent / name}")
    found = sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())
    if found and SUMS not in found:
        raise WeightsError(f"{output} holds other files, such as {found[0]}; nothing is shipped over them")
    notes = {*NOTES, *(VAE + note for note in NOTES), CARD, SUMS}
    known = {*read_sums(output), *notes} if found else set()
    if strange := [file for file in found if file not in known]:
        raise WeightsError(f"{output} holds {strange[0]}, which no model of ours left there; move it away")
    return found


def card(name: str, training: Mapping[str, Any], yardstick: Mapping[str, Any]) -> str:
    """The README.md of one model, every number taken from the files of its training and measurement."""
    counts = ", ".join(f"{part} {count:,}" for part, count in training["parameters"].items())
    cascade = UNTRAINED if name.startswith("if_") else ""
    seen, kept = (JUDGED, SHOWN_ALL) if name == "clip" else (LINEAR, HELD_OUT)
    data = f"- **Data**: pictures of the corpus, fingerprint `{_fingerprint(training['data'])}`; {kept}."
    start = isinstance(training["data"], Mapping) and "start" in training["data"]
    curve = training["curve"]
    step = max(len(curve) // CURVE_ROWS, 1)
    rows = "\n".join(f"| {at} | {loss:.5f} |" for at, loss in curve[step - 1 :: step])
    return f"""\
# Mini model `{name}`

{_filled(f"{ABOUT[name]} {COMMON} {seen} {cascade}")}

- **Parameters trained**: {counts}.
{_filled(data)}
{_making(training)}{TAUGHT if start else ""}
- **Made by**: `make train-mini`, shipped by `make ship-models`.

Measured on what it never saw:

{_scores(yardstick)}

Loss, averaged since the row before:

| step | loss |
|---|---|
{rows}
"""


def autoencoder_section(training: Mapping[str, Any], yardstick: Mapping[str, Any]) -> str:
    """What the card of a latent model says of its autoencoder, which Figure 2 uses as well."""
    (count,) = training["parameters"].values()
    about = (
        "It turns each 8 x 8 pixel block into a few numbers, as Stable Diffusion's does, and stands in for "
        "it in Figure 2 as well. Trained on photographs bundled with scikit-image and procedural pictures "
        "(`train_vae`), continued on them and on the corpus (`train_sd_vae`). PSNR in dB on photographs and "
        "renders that it never saw, beside the best linear code of 8 x 8 blocks with as many numbers."
    )
    return f"""
## Its autoencoder

{_filled(about)}

- **Parameters**: {count:,}.
{_making(training)}

{_scores(yardstick)}

`vae/samples.png`: rows are pictures, the start of this training, its end, the block code.
"""


def _making(training: Mapping[str, Any]) -> str:
    settings = training["settings"]
    return _filled(
        f"- **Training**: {training['steps']} steps of {settings['batch']} pictures, AdamW, peak learning "
        f"rate {settings['learning_rate']}, averaged weights, seed {settings['seed']}; {training['minutes']} "
        f"minutes on: {training['machine']} (torch {training['torch']})."
    )


def _scores(yardstick: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {item} | {value} |" for item, value in _flat("", yardstick))
    return f"| measure | value |\n|---|---|\n{rows}"


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
            if key not in ("files", "pictures", "corpus", "control_files", "renders", "sd"):
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
