"""Twelve prompts, each material once, after each stage, and what a judge calls the textures."""

from pathlib import Path
from typing import TYPE_CHECKING

from _gallery import draw, load
from _save import save
from castex.cli._entry import logged
from castex.tally import write_table

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        loaded, shown = load(
            [Path(path) for path in snakemake.input.photographs],
            [Path(path) for path in snakemake.input.recognised],
        )
        save(draw(loaded, shown), [snakemake.output.pdf, snakemake.output.png])
        write_table(Path(snakemake.output.csv), loaded)
