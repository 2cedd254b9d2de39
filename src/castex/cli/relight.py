"""One prepared mesh with its maps under several lights: a picture per light, and how bright each is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mesh", type=Path, required=True, help="mesh.safetensors of `castex prepare`")
    parser.add_argument("--maps", type=Path, required=True, help="maps.safetensors")
    parser.add_argument("--lights", type=Path, nargs="+", required=True, help="prefiltered lights")
    parser.add_argument("--size", type=int, required=True, help="side of the pictures in pixels")
    parser.add_argument("--azimuth", type=float, required=True, help="degrees from the front")
    parser.add_argument("--elevation", type=float, required=True, help="degrees above the horizon")
    parser.add_argument("--output", type=Path, required=True, help="folder for <light>.png and result.json")


def run(arguments: argparse.Namespace) -> None:
    import dataclasses

    from castex.files import json_text, write_together
    from castex.light import read_light
    from castex.maps_file import read_maps
    from castex.maps_png import map_files
    from castex.mesh import read_mesh
    from castex.photograph import fitting_distance, photographs
    from castex.picture import png_bytes
    from castex.shot import fixed_shot

    mesh, maps = read_mesh(arguments.mesh), read_maps(arguments.maps)
    shot = fixed_shot([arguments.azimuth], [arguments.elevation])
    shot = dataclasses.replace(shot, distance=fitting_distance(mesh, shot.fov))
    files, luminance = map_files(maps), {}
    for path in arguments.lights:
        ((picture, alpha),) = photographs(
            mesh, maps, read_light(path), shot, size=arguments.size, supersample=3
        )
        files[f"{path.stem}.png"] = png_bytes(picture)
        luminance[path.stem] = _luminance(picture, alpha)
    means = {name: float(getattr(maps, name).mean()) for name in ("albedo", "roughness", "metallic")}
    files["result.json"] = json_text({"luminance": luminance, "means": means}).encode()
    write_together(arguments.output, files)


def _luminance(picture: object, alpha: object) -> float:
    """Mean linear luminance (BT.709) of the pixels that the object covers wholly."""
    import torch

    from castex.maps import srgb_to_linear

    assert isinstance(picture, torch.Tensor) and isinstance(alpha, torch.Tensor)
    weights = torch.tensor([0.2126, 0.7152, 0.0722])
    values = (srgb_to_linear(picture)[0] * weights[:, None, None]).sum(0)
    inside = alpha[0, 0] == 1
    return float(values[inside].mean()) if inside.any() else 0.0


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["relight", *sys.argv[1:]]))
