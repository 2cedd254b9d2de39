"""Count every network of the scale and of the paper, and time the scale's own on this machine.

Counting and timing need no weights: neither depends on their values, so random ones stand in, run as the
loaders run a network by default, and beside it in bfloat16 where the device has that in hardware. On CUDA the
networks of the published shapes are timed too. Budgets are for one thread of a CPU and are judged in the
loaders' own precision.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

    from castex.cost import Cost
    from castex.true_shapes import Shape

Device = Literal["cpu", "cuda"]
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
    import dataclasses

    from castex.budget import compared
    from castex.cost import MACHINES, predicted_seconds, sizes
    from castex.files import write_json, write_text
    from castex.training.precision import fast_bfloat16
    from castex.true_shapes import true_shapes

    device = chosen_device(arguments.device)
    published = true_shapes()
    own = _own_shapes(arguments.models, tuple(arguments.views))
    networks = {}
    precisions: tuple[Literal["auto", "bfloat16"], ...] = (
        ("auto", "bfloat16") if fast_bfloat16(device) else ("auto",)
    )
    for shape in (*published.values(), *own):
        entry = record(shape)
        if device == "cuda" or (shape.name not in published and entry["flops"] <= MOST_CPU_FLOPS):
            entry |= timed(shape, device, arguments.repeats, precisions)
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
    found = {
        "networks": list(networks.values()),
        "syntheses": syntheses,
        "predicted_for": {name: dataclasses.asdict(machine) for name, machine in MACHINES.items()},
        "machine": machine_record(device),
    }
    write_json(arguments.output, found)
    if arguments.budgets is not None and arguments.table is not None:
        values = _as_loaded_ms(networks) if device == "cpu" else {}
        write_text(arguments.table, compared(values, arguments.budgets))


def chosen_device(name: str) -> Device:
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


def timed(shape: Shape, device: Device, repeats: int, precisions: tuple[str, ...]) -> dict[str, Any]:
    """`measured`: median milliseconds of a forward with random weights, by precision.

    The precision `auto` stands for that of the loaders, which `precision` names.
    """
    import dataclasses

    import torch

    from castex.cost import measure
    from castex.true_shapes import example_inputs, random_network

    own, layout = loaded_as(shape, device)
    found = {}
    for precision in precisions:
        dtype = own if precision == "auto" else getattr(torch, precision)
        # A fresh generator has the same seed every time; billions of numbers are best drawn on the device.
        stream = torch.Generator(device)
        network = random_network(shape, device=device, dtype=dtype, generator=stream)
        inputs = example_inputs(shape, device=device, dtype=dtype, generator=stream)
        network = network.to(memory_format=layout)  # type: ignore[call-overload]
        laid_out = {k: v.contiguous(memory_format=layout) if v.ndim == 4 else v for k, v in inputs.items()}
        found[_name(dtype)] = dataclasses.asdict(measure(network, laid_out, repeats=repeats))
    return {"measured": found, "precision": _name(own)}


def loaded_as(shape: Shape, device: Device) -> tuple[torch.dtype, torch.memory_format]:
    """Number format and memory layout in which the loaders run this network when nothing is configured."""
    import torch

    from castex.diffusion.network import resolved_precision
    from castex.settings.models import EmbedSettings, ExecutionSettings
    from castex.true_shapes import DENOISERS

    if shape.class_name in DENOISERS:
        execution = ExecutionSettings(device=device)
        layout = torch.channels_last if execution.channels_last else torch.contiguous_format
        return resolved_precision(execution), layout
    if shape.class_name in ("T5EncoderModel", "CLIPTextModel"):
        return resolved_precision(EmbedSettings(device=device)), torch.contiguous_format
    # The autoencoder and the judge are always loaded in float32.
    return torch.float32, torch.contiguous_format


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


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


def _as_loaded_ms(networks: dict[str, Any]) -> dict[str, float | None]:
    """Processor time in milliseconds of each measured network, in the precision in which it is loaded."""
    return {
        name: entry["measured"][entry["precision"]]["cpu_ms"]
        for name, entry in networks.items()
        if "measured" in entry
    }


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["measure_cost", *sys.argv[1:]]))
