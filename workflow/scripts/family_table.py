"""Rewrite the README's table of the mini family from the yardsticks in data/mini (`make readme`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from castex.files import read_json, write_text

BEGIN, END = "<!-- family: made by `make readme` -->", "<!-- end of family -->"
MODELS = ("clip", "if_xl", "sd/vae", "sd", "controlnet_depth")
HEAD = "| model | yardstick | required | seen pairs | held-out pairs | control |"
NAMED = ("accuracy_colour", "accuracy_material")


def table(folder: Path) -> str:
    """One row per model; the control of each stands last. A model that is not there is an error."""
    lines = [HEAD, "|---|---|---|---|---|---|"]
    for name in MODELS:
        told = read_json(folder / name / "yardstick.json")
        lines.append(f"| `{name}` | " + " | ".join(cells(name, told)) + " |")
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6
    lines += ["", f"All of them together: {size:.1f} MB of weights in half precision."]
    return "\n".join(lines)


def cells(name: str, told: Mapping[str, Any]) -> Iterable[str]:
    """Yardstick, requirement, ours on seen and held-out pairs, control."""
    match name:
        case "clip":
            whole = [row for row in told["rows"] if row["light"] == "all"]
            sets = [shares(whole, variant) for variant in ("seen", "held_out", "control")]
            return (
                "right names on renders of unseen meshes: colour, material",
                f"{told['required']:.0%}",
                *sets,
            )
        case "if_m" | "if_xl":
            sets = [shares(told["rows"], variant) for variant in ("seen", "held_out", "control")]
            return "right names of its samples: colour, material", f"{told['required']:.0%}", *sets
        case "if_ii":
            scores, required = told["psnr_db"], f"{told['required_margin_db']:g} dB"
            gains = [f"{scores[v]['margin']:+.2f} dB" for v in ("seen", "held_out")]
            control = f"{scores['seen']['control'] - scores['seen']['bicubic']:+.2f} dB"
            return "PSNR over bicubic enlargement; shown another picture", required, *gains, control
        case "sd/vae":
            gains = [scores["margin"] for scores in told["psnr_db"].values()]
            required = f"{told['required_margin_db']:g} dB"
            return (
                "PSNR over the best linear block code, worst picture",
                required,
                f"{min(gains):+.2f} dB",
                "",
                "",
            )
        case "sd":
            found = [told["noise_error"][variant] for variant in ("seen", "held_out")]
            right = [f"{each['right']:.4f}" for each in found]
            return (
                "error of the noise; under another caption",
                "below control",
                *right,
                f"{found[0]['shuffled']:.4f}",
            )
        case "controlnet_depth":
            iou, gain = told["outline_iou"], told["required_iou_gain"]
            required = f"control + {gain:g}"
            return (
                "outlines of depth kept (IoU); under another depth",
                required,
                f"{iou['right']:.3f}",
                "",
                f"{iou['shuffled']:.3f}",
            )
    raise KeyError(name)


def shares(rows: Iterable[Mapping[str, Any]], variant: str) -> str:
    """The worst share of right colours, and that of right materials, of one set of pictures."""
    found = []
    for metric in NAMED:
        values = [row["value"] for row in rows if (row["variant"], row["metric"]) == (variant, metric)]
        worst = max(values) if variant == "control" else min(values)
        found.append(f"{100 * worst:.1f} %")
    return ", ".join(found)


def replaced(readme: str, block: str) -> str:
    """The README with the text between its markers replaced."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


if __name__ == "__main__":
    models, path = Path(sys.argv[1]), Path(sys.argv[2])
    write_text(path, replaced(path.read_text(encoding="utf-8"), table(models)))
