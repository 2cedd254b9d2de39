"""Rewrite the results table of the README from the files that the workflow made (`make readme`)."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from castex.files import write_text

BEGIN, END = "<!-- results: made by `make readme` -->", "<!-- end of results -->"
PANELS = [
    ("pixel space, explicit", "pixel-explicit", "psnr_theta"),
    ("latent space, explicit", "latent-explicit", "psnr_theta"),
    ("latent space, explicit, decoded", "latent-explicit", "psnr_decoded"),
    ("pixel space, DIP", "pixel-dip", "psnr_theta"),
    ("latent space, DIP", "latent-dip", "psnr_theta"),
    ("latent space, DIP, decoded", "latent-dip", "psnr_decoded"),
]


def table(scores: pd.DataFrame, claims: pd.DataFrame) -> str:
    """The six panels of Figure 2, ours beside the paper's, and the count of verdicts."""
    values = scores.set_index(["method", "metric", "variant"])["value"]
    lines = ["| panel of Figure 2 | ours, dB | paper, dB |", "|---|---|---|"]
    for label, method, metric in PANELS:
        ours, paper = values[method, metric, "ours"], values[method, metric, "reported"]
        lines.append(f"| {label} | {ours:.2f} | {paper:.2f} |")
    ceiling = values["latent-explicit", "psnr_ceiling", "ours"]
    counts = claims["verdict"].value_counts()
    verdicts = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in ("PASS", "FAIL", "NOT RUN"))
    failed = ", ".join(f"`{claim}`" for claim in claims.loc[claims["verdict"] == "FAIL", "claim"])
    closing = f"Ceiling of the mini autoencoder on this picture: {ceiling:.2f} dB. Claims: {verdicts}"
    return "\n".join([*lines, "", closing + (f" (failed: {failed})." if failed else ".")])


def replaced(readme: str, block: str) -> str:
    """The README with the text between its markers replaced."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


if __name__ == "__main__":
    figures, path = Path(sys.argv[1]), Path(sys.argv[2])
    made = table(pd.read_csv(figures / "toy_reconstruction.csv"), pd.read_csv(figures / "claims.csv"))
    write_text(path, replaced(path.read_text(encoding="utf-8"), made))
