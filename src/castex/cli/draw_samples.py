"""Draw pictures from prompts with one model, and let the judge name what they show.

Writes a safetensors file with the pictures (linear, uint8) and result.json: per picture its prompt, what it
should show and what the judge says. Pictures without a prompt come last.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from castex.draw import Drawing
    from castex.mesh import Mesh
    from castex.settings.samples import DrawnSettings

AZIMUTH, ELEVATION, DISTANCE = 30.0, 20.0, 3.9
"""From where the ControlNet's object is seen: degrees, and the mean distance of the training pictures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="name of the model in the sheet")
    parser.add_argument(
        "--settings", type=Path, required=True, help="JSON file: sample, and the model's entry"
    )
    parser.add_argument("--model", type=Path, required=True, help="lock file, or a model folder")
    parser.add_argument("--texts", type=Path, required=True, help="JSON file with the prompts")
    parser.add_argument("--embeddings", type=Path, required=True, help="file that `embed` wrote for them")
    parser.add_argument("--judge", type=Path, required=True, help="lock file or folder of a CLIP model")
    parser.add_argument("--base", type=Path, help="for an upsampler: file of the base model's pictures")
    parser.add_argument("--under", type=Path, help="for a ControlNet: lock file of its Stable Diffusion")
    parser.add_argument("--mesh", type=Path, help="for a ControlNet: prepared mesh whose depth it is shown")
    parser.add_argument("--pictures", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--output", type=Path, required=True, help="result.json to write")


def run(arguments: argparse.Namespace) -> None:
    import time

    from castex.draw import Drawing
    from castex.files import read_json, write_json, write_tensors
    from castex.judge import load_judge
    from castex.prompt import UNCONDITIONAL, read_embeddings
    from castex.settings.models import PromptSettings
    from castex.settings.samples import DrawnSettings, SampleSettings
    from castex.training.naming import labels_in, name_pictures, scores_of_prompts, words_of

    told = read_json(arguments.settings)
    model = DrawnSettings.model_validate(told["model"])
    sample = SampleSettings.model_validate(told["sample"] | ({"steps": model.steps} if model.steps else {}))
    prompts = PromptSettings.model_validate(read_json(arguments.texts)).texts
    texts = [*prompts, *[UNCONDITIONAL] * model.unconditional]
    drawing = Drawing(texts, read_embeddings(arguments.embeddings), sample)
    started = time.monotonic()
    images = _images(arguments, model, drawing)
    seconds = time.monotonic() - started
    named = name_pictures(load_judge(arguments.judge), images)
    words = zip(texts, words_of(labels_in(texts)), words_of(named), strict=True)
    write_tensors(arguments.pictures, {"images": (images * 255).round().byte().contiguous()})
    record = {
        "name": arguments.name,
        "model": model.model_dump(mode="json"),
        "sample": sample.model_dump(mode="json"),
        "size": images.shape[-1],
        "seconds": round(seconds, 1),
        "scores": scores_of_prompts(named, texts),
        "pictures": [{"text": text, "asked": asked, "named": name} for text, asked, name in words],
    }
    write_json(arguments.output, record)
    print(f"{len(images)} pictures of {images.shape[-1]} pixels in {seconds:.0f} s")


def _images(arguments: argparse.Namespace, model: DrawnSettings, drawing: Drawing) -> Tensor:
    from safetensors.torch import load_file

    from castex import diffusion, draw
    from castex.errors import InputError
    from castex.mesh import read_mesh

    execution = drawing.settings.execution
    match model.stage:
        case "base":
            return draw.draw_base(diffusion.load_base(arguments.model, execution), drawing)
        case "latent":
            return draw.draw_latent(diffusion.load_stable_diffusion(arguments.model, execution), drawing)
        case "upsampler":
            if arguments.base is None:
                raise InputError("an upsampler needs --base, the pictures that it enlarges")
            small = load_file(arguments.base)["images"][: len(drawing)].float() / 255
            return draw.draw_enlarged(diffusion.load_upsampler(arguments.model, execution), drawing, small)
        case "depth":
            if arguments.under is None or arguments.mesh is None:
                raise InputError("a depth ControlNet needs --under, its Stable Diffusion, and --mesh")
            below = diffusion.load_stable_diffusion(arguments.under, execution)
            network = diffusion.load_depth_controlnet(arguments.model, below, execution)
            depth = depth_picture(read_mesh(arguments.mesh), below.network.size * below.codec.stride)
            return draw.draw_on_depth(network, drawing, depth)


def depth_picture(mesh: Mesh, side: int) -> Tensor:
    """What the ControlNet sees, `1 3 side side` in [0, 1]: the mesh a little from the side and above."""
    from castex.raster import Raster
    from castex.render import depth_pictures
    from castex.shot import fixed_shot
    from castex.visibility import visibility_of

    shot = fixed_shot([AZIMUTH], [ELEVATION], distance=DISTANCE)
    seen = Raster(mesh).depth(visibility_of(mesh)(shot, side), shot)
    return depth_pictures(seen).expand(-1, 3, -1, -1)


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["draw_samples", *sys.argv[1:]]))
