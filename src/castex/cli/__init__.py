"""The `castex` command: one thin module per verb."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from castex.cli._entry import entry

VERBS = {
    "texture": "texture a mesh from a prompt: GLB, maps, turntable",
    "render": "pictures or a turntable of a mesh under a panorama",
    "export": "a mesh with its maps as one GLB that Blender shows right",
    "inspect": "what is in a mesh file, and what would be done with it",
    "explain": "how a textured GLB was made",
    "reproduce": "make a textured GLB again, and compare",
    "doctor": "what this machine has and lacks, with one remedy each",
    "reconstruct": "recover a picture by score distillation, in pixel or latent space (Figure 2)",
    "prepare": "one mesh, one atlas and four maps from any mesh file",
    "prefilter": "an environment light from a panorama",
    "picture": "write a target picture as PNG",
    "embed": "prompts and view words as the numbers that a model reads",
    "fetch": "bring or find a model, check it, and record its hashes",
    "fetch_asset": "bring or find one 3D object",
    "fetch_file": "bring or find one file of the configuration",
    "fetch_objaverse": "bring the index and the records of Objaverse",
    "fetch_ledger": "what was fetched, with unknown hashes counted",
    "make_meshes": "make the mini meshes",
    "synthesise": "one stage of texture synthesis: settings, mesh, model in, maps out",
    "photograph": "views of a textured mesh side by side",
    "recognise": "what a judge calls a textured mesh, from cameras that no step has used",
    "appraise": "numbers on a texture: likeness, seams, baked light",
    "dissect": "the pictures of one step of a finished stage (Figure 1)",
    "drift": "how far an upsampling stage leaves its start, and what detail it finds (Figure 3)",
    "anchoring_theory": "anchored and unanchored upsampling in closed form, derived and run",
    "recover": "known texture maps from a perfect score at their renders, one arm of the toy in 3D",
    "dress": "a prepared mesh in a procedural material",
    "relight": "a dressed mesh under several lights",
    "corpus": "render the training pictures of the mini models",
    "train_t5": "train the mini text encoder on sentences",
    "train_base": "train a mini stage I: text to 32 px",
    "train_upsampler": "train the mini stage II: 32 to 128 px",
    "train_vae": "train the mini autoencoder",
    "train_sd_vae": "continue the mini autoencoder on renders, for the latent mini models",
    "encode_corpus": "the training pictures as codes of an autoencoder",
    "train_sd": "train the mini Stable Diffusion",
    "train_controlnet": "train the mini depth ControlNet",
    "measure_sd_vae": "measure the autoencoder of the mini Stable Diffusion",
    "measure_latent": "measure the mini Stable Diffusion: prompts against their controls",
    "measure_controlnet": "measure the mini depth ControlNet: depths against their controls",
    "train_clip": "train the mini CLIP, which names what the generators draw",
    "measure_clip": "measure the mini CLIP as a judge on held-out renders",
    "measure_samples": "measure a mini base model by what the judge calls its samples",
    "draw_samples": "pictures from prompts with one model, named by the judge",
    "measure_vae": "measure an autoencoder against the best linear block code",
    "measure_corpus": "training pictures per second",
    "measure_upsampler": "measure a stage II against bicubic enlargement",
    "measure_render": "time and memory of the renderer at the paper's size",
    "cost": "parameters, operations, bytes and milliseconds of networks, published shapes included",
    "measure_cost": "count and time the networks of the scale",
    "ship_models": "check the yardsticks and copy trained models to data/mini",
    "schema": "write the schema of the configuration files",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch `castex VERB ...`; each verb's module is imported only when it is used."""
    # Before torch is loaded: threads that spin while they wait make a shared machine many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in VERBS:
        verb = arguments[0]
        return entry(importlib.import_module(f"castex.cli.{verb}"), verb, arguments[1:])
    listing = "\n".join(f"  {verb:<15} {meaning}" for verb, meaning in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="castex",
        description="CasTex, reproduced.",
        epilog=f"verbs:\n{listing}\n\n`castex VERB --help` explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB")
    parser.parse_args(arguments)
    return 0
