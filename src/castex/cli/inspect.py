"""Say what a mesh file holds, and what `castex prepare` would do with it and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from castex.cli._mesh import add_axes

SHOWN_ABOVE = {"faces_total", "vertices_total"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mesh", type=Path, metavar="MESH", help="glb, gltf, obj, ply or stl")
    add_axes(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(arguments: argparse.Namespace) -> None:
    from castex.files import json_text
    from castex.inspection import inspected
    from castex.scene_file import load_scene

    found = inspected(load_scene(arguments.mesh), front=arguments.front, up=arguments.up)
    print(
        json_text(found) if arguments.json else "\n".join(_lines(found)), end="" if arguments.json else "\n"
    )


def _lines(found: dict[str, Any]) -> list[str]:
    attribution, layout = found["attribution"], found["uv"]
    lines = [
        f"title      {attribution['title'] or 'unknown'}",
        f"author     {attribution['author'] or 'unknown'}",
        f"licence    {attribution['licence'] or 'unknown'}",
        f"faces      {found['faces']} in {found['primitives']} primitives",
        f"vertices   {found['vertices']}",
        f"materials  {found['materials']} in use, {found['pictures']} pictures",
    ]
    if layout is None:
        lines.append("uv         none that can be measured")
    else:
        lines.append(
            f"uv         coverage {layout['coverage']:.1%}, overlap {layout['overlap']:.1%}, "
            f"mirrored {layout['flipped']:.1%}, stretch {layout['stretch_mean']:.2f}"
        )
    repair = {name: count for name, count in found["repair"].items() if count and name not in SHOWN_ABOVE}
    lines += [f"repair     {name.replace('_', ' ')}: {count}" for name, count in repair.items()]
    lines += [f"note       {note}" for note in found["notes"]]
    return [*lines, f"prepare    {found['prepare']}"]


if __name__ == "__main__":
    import sys

    from castex.cli import main

    sys.exit(main(["inspect", *sys.argv[1:]]))
