"""One mesh with six prompts, six meshes with one, and what a judge calls them."""

from typing import TYPE_CHECKING

from _gallery import make
from castex.cli._entry import logged

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        make(snakemake.input.photographs, snakemake.input.recognised, snakemake.output)
