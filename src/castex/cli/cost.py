"""What networks cost: parameters, operations, bytes, and milliseconds predicted for an A100 and an H200.

Without --model, the published shapes of DeepFloyd IF, Stable Diffusion, T5 and CLIP, which need no weights.
The prediction is a roofline at assumed shares of the machines' peaks (docstring of `castex.cost`); --measure
times forwards with random weights here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from castex.true_shapes import Shape

HEADINGS = (
    "network",
    "batch",
    "M param.",
    "TFLOP",
    "GB weights",
    "GB moved",
    "A100 ms",
    "H200 ms",
    "here ms",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        nargs="+",
        default=[],
        help="names of published shapes, model folders, or lock files of `fetch`",
    )
    parser.add_argument(
        "--views", type=int, default=8, help="views of a step, each with and without prompt (8)"
    )
    parser.add_argument(
        "--latent-size",
        type=int,
        default=64,
        help="side of the latent picture, which a ControlNet leaves open (64)",
    )
    parser.add_argument("--measure", action="store_true", help="time forwards on this machine")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where (auto)")
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="of it; auto is that of the loaders (auto)",
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed forwards after two that are not (5)")
    parser.add_argument("--output", type=Path, help="JSON file to write as well")


def run(arguments: argparse.Namespace) -> None:
    from castex.cli.measure_cost import chosen_device, machine_record, record, timed
    from castex.cost import MACHINES
    from castex.errors import InputError
    from castex.files import write_json

    if arguments.views < 1 or arguments.repeats < 1:
        raise InputError("--views and --repeats have to be at least 1")
    device = chosen_device(arguments.device)
    networks = {}
    for shape in _shapes(arguments.model, arguments.views, arguments.latent_size):
        entry = record(shape)
        if arguments.measure:
            entry |= timed(shape, device, arguments.repeats, (arguments.precision,))
        networks[shape.name] = entry
    print(_table(networks))
    print("Per forward of the batch; GB moved and ms: eager / compiled at best.")
    shares = (f"{m.compute_share:.0%} of the peaks of an {m.name}" for m in MACHINES.values())
    print(f"Predictions take a roofline that reaches {' and '.join(shares)}, which is assumed, not measured.")
    if arguments.output is not None:
        write_json(arguments.output, {"networks": list(networks.values()), "machine": machine_record(device)})


def _shapes(models: list[str], views: int, latent_size: int) -> list[Shape]:
    """The published shapes and those of the folders, in the order in which they were asked for."""
    from castex.errors import InputError
    from castex.true_shapes import shapes_of_folder, true_shapes
    from castex.weights import locate

    published = true_shapes(views)
    found: list[Shape] = []
    for text in models or published:
        path = Path(text)
        if text in published:
            found.append(published[text])
        elif path.exists():
            folder = locate(path).path if path.is_file() else path
            found += shapes_of_folder(folder.name, folder, views=(views, views), latent_size=latent_size)
        else:
            known = ", ".join(published)
            raise InputError(f"--model {text} is no folder and no published shape; those are {known}")
    return found


def _table(networks: dict[str, Any]) -> str:
    rows = [HEADINGS, *(_row(name, entry) for name, entry in networks.items())]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width) for k, (cell, width) in enumerate(zipped)
        )
        for zipped in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join(lines)


def _row(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    def pair(values: Mapping[str, Any], unit: float = 1) -> str:
        return f"{values['eager'] / unit:.1f} / {values['compiled'] / unit:.1f}"

    here = " ".join(f"{times['ms']:.1f}" for times in entry.get("measured", {}).values())
    return (
        name,
        str(entry["batch"]),
        f"{entry['parameters'] / 1e6:.2f}",
        f"{entry['flops'] / 1e12:.3g}",
        f"{entry['weight_bytes'] / 1e9:.3g}",
        pair(entry["moved_bytes"], 1e9),
        pair(entry["predicted_ms"]["a100"]),
        pair(entry["predicted_ms"]["h200"]),
        here or "-",
    )


if __name__ == "__main__":
    from castex.cli import main

    sys.exit(main(["cost", *sys.argv[1:]]))
