"""Model cards: what a shipped model is, how it was made, and what it scored."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any


def vae_card(training: Mapping[str, Any], yardstick: Mapping[str, Any], losses: list[float]) -> str:
    """The README.md of the mini autoencoder, every number taken from the files of its training."""
    settings = training["settings"]
    scores = "\n".join(
        f"| {name} | {s['autoencoder']:.2f} | {s['block_code']:.2f} | {s['margin']:+.2f} |"
        for name, s in yardstick["psnr_db"].items()
    )
    tenth = max(len(losses) // 10, 1)
    curve = "\n".join(
        f"| {min(start + tenth, len(losses))} | {sum(part) / len(part):.5f} |"
        for start in range(0, len(losses), tenth)
        if (part := losses[start : start + tenth])
    )
    codes, margin = settings["autoencoder"]["latent_channels"], yardstick["required_margin_db"]
    about = f"""
        A diffusers `AutoencoderKL` with {training["parameters"]:,} parameters that turns each 8 x 8 pixel
        block into {codes} numbers, as Stable Diffusion's does, and stands in for it at the mini scale.
        Half-precision safetensors; licence Apache-2.0."""
    data = f"""
        - **Data**: photographs bundled with scikit-image ({", ".join(training["photographs"])}) and
        {settings["procedural"]} procedural dead-leaves pictures; random {settings["crop"]} px crops,
        flips, quarter turns, colour jitter. Never seen: {", ".join(training["held_out"])}."""
    making = f"""
        - **Training**: {training["steps"]} steps of {settings["batch"]} crops, AdamW, peak learning rate
        {settings["learning_rate"]}, mean squared error plus {settings["kl_weight"]} x KL, averaged
        weights, seed {settings["seed"]}; {training["minutes"]} minutes on: {training["machine"]}
        (torch {training["torch"]})."""
    measure = f"""
        PSNR in dB at {yardstick["size"]} px on photographs it never saw, beside the best linear
        {yardstick["components"]}-component code of 8 x 8 blocks fitted to its own training photographs.
        A model is shipped only if its margin on the astronaut is at least {margin} dB."""
    return f"""\
# Mini autoencoder

{_filled(about)}

{_filled(data)}
{_filled(making)}
- **Made by**: `make train-vae`, shipped by `make ship-models`.

{_filled(measure)}

| photograph | autoencoder | block code | margin |
|---|---|---|---|
{scores}

`samples.png`: rows {", ".join(training["held_out"])}; columns target, autoencoder, block code.

Mean squared error in [-1, 1] on training crops, averaged over tenths of the training:

| up to step | error |
|---|---|
{curve}
"""


def _filled(text: str) -> str:
    words = " ".join(text.split())
    indent = "  " if words.startswith("- ") else ""
    return textwrap.fill(words, 110, subsequent_indent=indent, break_on_hyphens=False)
