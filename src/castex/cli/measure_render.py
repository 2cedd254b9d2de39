"""Time and memory of one step's rendering: 8 views at 512 x 512, maps of 1024, forward and backward."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from castex.light import EnvironmentLight
    from castex.mesh import Mesh

TRIANGLES = (5_000, 50_000, 100_000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--budgets", type=Path, help="YAML file of budgets to compare with")
    parser.add_argument("--table", type=Path, help="CSV file for the comparison")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to render (cpu)")
    parser.add_argument("--size", type=int, default=512, help="side of the views in pixels (512)")
    parser.add_argument("--texels", type=int, default=1024, help="side of the maps (1024)")
    parser.add_argument("--repeats", type=int, default=7, help="counted steps after one that is not (7)")


def run(arguments: argparse.Namespace) -> None:
    import os
    import platform
    import resource

    import torch

    from castex.budget import compared, processor
    from castex.files import write_json, write_text
    from castex.light import prefiltered
    from castex.panorama import generated_panorama

    panorama = generated_panorama("studio").repeat_interleave(2, 0).repeat_interleave(2, 1)
    started = _now(arguments.device)
    light = prefiltered(panorama, 512)
    prefiltering = _now(arguments.device) - started
    steps = [_measured(_torus(count), light, arguments) for count in TRIANGLES]
    record = {
        "prefilter_1k_s": prefiltering,
        "step_50k_s": steps[1]["median_s"],
        "slowdown_5k_to_100k": steps[-1]["median_s"] / steps[0]["median_s"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "steps": steps,
        "machine": {
            "device": torch.cuda.get_device_name() if arguments.device == "cuda" else processor(),
            "cores": len(os.sched_getaffinity(0)),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    }
    write_json(arguments.output, record)
    print(f"{steps[1]['median_s']:.3f} s per step at 50,000 triangles; prefiltering {prefiltering:.1f} s")
    if arguments.budgets is not None and arguments.table is not None:
        write_text(arguments.table, compared(record, arguments.budgets))


def _measured(mesh: Mesh, light: EnvironmentLight, arguments: argparse.Namespace) -> dict[str, Any]:
    import statistics

    import torch

    from castex.maps import TextureMaps
    from castex.render import MeshRenderer
    from castex.rng import generator
    from castex.shot import ShotSettings, sample_shot

    stream = generator(0, "torus", "measure")
    # As smooth as a texture is half-way through its synthesis, neither flat nor white noise.
    coarse = torch.rand(1, 8, arguments.texels // 16, arguments.texels // 16, generator=stream)
    shape = (arguments.texels, arguments.texels)
    values = torch.nn.functional.interpolate(coarse, size=shape, mode="bilinear")[0].permute(1, 2, 0).clone()
    values[..., 5:7] -= 0.5
    values[..., 7] = 1.0
    leaf = values.to(arguments.device).requires_grad_()
    renderer = MeshRenderer(mesh.to(arguments.device), light.to(arguments.device), arguments.size)
    seconds, gradients, covered = [], [], 0.0
    for _ in range(arguments.repeats + 1):
        # The same shot each time, at the mean distance: the time depends on how much of the view is covered.
        shot = sample_shot(ShotSettings(distance_spread=0), generator=generator(0, "torus", "shot"))
        started = _now(arguments.device)
        image = renderer(TextureMaps(leaf[..., :3], leaf[..., 3:4], leaf[..., 4:5], leaf[..., 5:]), shot)
        (gradient,) = torch.autograd.grad(image.square().sum(), leaf)
        seconds.append(_now(arguments.device) - started)
        gradients.append(gradient)
        covered = float((image != shot.background.to(image)[None, :, None, None]).any(1).float().mean())
    return {
        "triangles": len(mesh.t_vertex_idx),
        "covered": covered,
        "median_s": statistics.median(seconds[1:]),
        "fastest_s": min(seconds[1:]),
        "slowest_s": max(seconds[1:]),
        "repeats_bitwise": all(torch.equal(gradients[0], other) for other in gradients[1:]),
    }


def _torus(triangles: int) -> Mesh:
    """A torus of about that many triangles, with its own angles as texture coordinates; longest side 2."""
    import math

    import torch

    from castex.mesh import with_tangents

    rows = round(math.sqrt(triangles / 4))
    columns = round(triangles / 2 / rows)
    turns = (torch.linspace(0, 1, count + 1, dtype=torch.float64) for count in (columns, rows))
    u, v = torch.meshgrid(*turns, indexing="ij")
    around, tube = 2 * math.pi * u, 2 * math.pi * v
    normal = torch.stack([tube.cos() * around.sin(), tube.sin(), tube.cos() * around.cos()], -1)
    centre = torch.stack([around.sin(), torch.zeros_like(u), around.cos()], -1)
    position = 0.6 * centre + 0.4 * normal
    a = torch.arange(columns)[:, None] * (rows + 1) + torch.arange(rows)[None]
    b, c, d = a + 1, a + rows + 1, a + rows + 2
    faces = torch.cat([torch.stack(k, -1).reshape(-1, 3) for k in ((a, c, b), (b, c, d))])
    texcoord = torch.stack([u, 1 - v], -1)
    flat = [values.reshape(-1, values.shape[-1]).float() for values in (position, normal, texcoord)]
    return with_tangents(flat[0], flat[1], flat[2], faces)


def _now(device: str) -> float:
    import time

    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_render", *sys.argv[1:]]))
