# The configuration, validated twice: by the generated schema, which names a mistyped key, and by the
# settings classes, which know what no schema can say. `settings` is the typed result.
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from castex.config import validated
from castex.errors import InputError

validate(config, "../schemas/config.schema.yaml", set_default=False)
try:
    settings = validated(config)
except InputError as error:
    raise WorkflowError(str(error)) from None


pathvars:
    results=f"results/{settings.scale}",
    logs=f"results/{settings.scale}/logs",
    benchmarks=f"results/{settings.scale}/benchmarks",


wildcard_constraints:
    variant="|".join(settings.reconstruct),
    picture="|".join(settings.pictures),
    model="|".join(settings.models),
    seed=r"\d+",


def watched_file(source):
    """The path behind a picture's source, for Snakemake to watch; a bundled photograph has none."""
    return [] if source.startswith("skimage:") else source


def model_sums(model):
    """The checksums of a local model folder: when they change, the model is checked again."""
    folder = settings.models[model].folder
    return [] if folder is None else f"{folder}/SHA256SUMS"


def lock_of_latent(variant):
    """The autoencoder's lock file for a latent variant; pixel variants need none."""
    latent = settings.reconstruct[variant].space == "latent"
    return "<results>/lock/vae.json" if latent else []


def memory_of(variant):
    """Host memory of one run: measured at 128 px on the CPU; CUDA's libraries and 512 px need more."""
    arm = settings.reconstruct[variant]
    return "1200MB" if arm.device == "cpu" and arm.size <= 256 else "8GB"


def sweep_files(experiment, pattern):
    """One file of `reconstruct` for every run of an experiment."""
    sweep = settings.sweep(experiment)
    return expand(pattern, variant=sweep.variants, picture=sweep.pictures, seed=sweep.seeds)


def unique(paths):
    """The paths without repetitions, in order: experiments share runs."""
    return list(dict.fromkeys(paths))
