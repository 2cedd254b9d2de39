"""Twelve prompts, each material once, after each stage, and what a judge calls the textures."""

from typing import TYPE_CHECKING

from _gallery import make
from castex.cli._entry import logged

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        make(snakemake.input.photographs, snakemake.input.recognised, snakemake.output)
