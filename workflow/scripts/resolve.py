"""Write the settings that a rule was given as parameters to the file that its stage reads."""

from pathlib import Path
from typing import TYPE_CHECKING

from castex.cli._entry import logged
from castex.files import write_json

if TYPE_CHECKING:
    from snakemake.script import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_json(Path(snakemake.output.settings), snakemake.params.settings)
