"""Count every network of the scale and of the paper, and time the scale's own on this machine.

Counting and timing need no weights: neither depends on their values, so random ones stand in. On CUDA the
networks of the published shapes are timed too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from castex.cost import Cost
    from castex.true_shapes import Shape

# Side from which this layout is the faster one on a CPU, as the loaders choose it.
CHANNELS_LAST_FROM = 128
# A forward of more operations is left to CUDA: on one thread of a CPU it takes a minute or more.
MOST_CPU_FLOPS = 1e12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", nargs="*", default=[], metavar="NAME=PATH", help="model folders, or lock files of `fetch`"
    )
    parser.add_argument(
        "--views",
        type=int,
        nargs=2,
        default=(4, 2),
        metavar=("BASE", "UPSAMPLER"),
        help="views of a step with a base model and with an upsampler (4 2)",
    )
    parser.add_argument("--repeats", type=int, default=5, help="counted forwards after two that are not (5)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to time (auto)"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--budgets", type=Path, help="YAML file of budgets to compare with")
    parser.add_argument("--table", type=Path, help="CSV file for the comparison")


def run(arguments: argparse.Namespace) -> None:
    from castex.budget import compared
    from castex.cost import predicted_seconds, sizes
    from castex.files import write_json, write_text
    from castex.true_shapes import true_shapes

    device = chosen_device(arguments.device)
    published = true_shapes()
    own = _own_shapes(arguments.models, tuple(arguments.views))
    networks = {}
    for shape in (*published.values(), *own):
        entry = record(shape)
        if device == "cuda" or (shape.name not in published and entry["flops"] <= MOST_CPU_FLOPS):
            entry["measured"] = timed(shape, device, arguments.repeats)
        networks[shape.name] = entry
    seconds = {
        f"{machine}_{execution}": predicted_seconds(
            {name: networks[name]["predicted_ms"][machine][execution] for name in published}
        )
        for machine, executions in networks["if-i-m"]["predicted_ms"].items()
        for execution in executions
    }
    total = sizes({name: networks[name]["parameters"] for name in published})
    syntheses = [
        {
            "synthesis": name,
            "variant": variant,
            "parameters": parameters,
            "seconds": {how: found[name, variant] for how, found in seconds.items()},
        }
        for (name, variant), parameters in total.items()
    ]
    found = {"networks": list(networks.values()), "syntheses": syntheses}
    write_json(arguments.output, found | {"machine": machine_record(device)})
    if arguments.budgets is not None and arguments.table is not None:
        write_text(arguments.table, compared(_fastest(networks), arguments.budgets))


def chosen_device(name: str) -> str:
    """`cuda` where there is one and nobody asked for the processor; InputError where there is none."""
    import torch

    from castex.errors import InputError

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError("--device cuda: this machine has no CUDA device that torch sees; use --device cpu")
    return "cuda" if there and name != "cpu" else "cpu"


def record(shape: Shape) -> dict[str, Any]:
    """What the counting of one network found."""
    from castex.cost import EXECUTIONS, MACHINES, count, predicted_ms

    cost: Cost = count(shape)
    return {
        "name": shape.name,
        "class": shape.class_name,
        "batch": shape.batch,
        "size": shape.size,
        "parameters": cost.parameters,
        "weight_bytes": cost.weight_bytes,
        "flops": cost.flops,
        "kernels": {execution: len(cost.kernels(execution)) for execution in EXECUTIONS},
        "moved_bytes": {execution: cost.moved(execution) for execution in EXECUTIONS},
        "predicted_ms": {
            name: {execution: predicted_ms(cost, machine, execution) for execution in EXECUTIONS}
            for name, machine in MACHINES.items()
        },
    }


def timed(
    shape: Shape, device: str, repeats: int, precisions: tuple[str, ...] = ("float32", "bfloat16")
) -> dict[str, Any]:
    """Median milliseconds of a forward with random weights, by precision."""
    import dataclasses

    import torch

    from castex.cost import measure
    from castex.true_shapes import example_inputs, random_network

    found = {}
    for precision in precisions:
        # A fresh generator has the same seed every time; billions of numbers are best drawn on the device.
        stream, dtype = torch.Generator(device), getattr(torch, precision)
        network = random_network(shape, device=device, dtype=dtype, generator=stream)
        inputs = example_inputs(shape, device=device, dtype=dtype, generator=stream)
        if device == "cuda" or shape.size >= CHANNELS_LAST_FROM:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found[precision] = dataclasses.asdict(measure(network, inputs, repeats=repeats))
    return found


def machine_record(device: str) -> dict[str, Any]:
    """What the milliseconds were measured on."""
    import platform

    import torch

    from castex.budget import processor

    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _own_shapes(models: list[str], views: tuple[int, int]) -> list[Shape]:
    """The networks of the given models; a ControlNet takes the size of the latent UNet among them."""
    from castex.errors import InputError
    from castex.true_shapes import shapes_of_folder
    from castex.weights import locate

    folders = {}
    for text in models:
        name, _, path = text.partition("=")
        if not path:
            raise InputError(f"--models {text}: write it as NAME=PATH")
        folders[name] = locate(Path(path)).path
    found = [s for name, folder in folders.items() for s in shapes_of_folder(name, folder, views=views)]
    latent = [
        s.size for s in found if s.class_name == "UNet2DConditionModel" and s.config["in_channels"] == 4
    ]
    size = latent[0] if latent else 64
    return [
        shape
        for name, folder in folders.items()
        for shape in shapes_of_folder(name, folder, views=views, latent_size=size)
    ]


def _fastest(networks: dict[str, Any]) -> dict[str, float | None]:
    """Processor time in milliseconds of each measured network, in its faster precision."""
    return {
        name: min((times["cpu_ms"] for times in entry.get("measured", {}).values()), default=None)
        for name, entry in networks.items()
    }


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_cost", *sys.argv[1:]]))
