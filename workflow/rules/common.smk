# The configuration, validated twice: by the generated schema, which names a mistyped key, and by the
# settings classes, which know what no schema can say. `settings` is the typed result, `sheet` the rows of the
# asset sheet by name, `assets` those that this scale uses.
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

import json
from pathlib import Path

from castex.assets import chosen, read_sheet
from castex.config import validated
from castex.errors import InputError

validate(config, "../schemas/config.schema.yaml", set_default=False)
try:
    settings = validated(config)
    sheet = {row.asset: row for row in read_sheet(Path(settings.assets.sheet))}
    assets = {row.asset: row for row in chosen(list(sheet.values()), settings.assets)}
except InputError as error:
    raise WorkflowError(str(error)) from None


pathvars:
    results=f"results/{settings.scale}",
    logs=f"results/{settings.scale}/logs",
    benchmarks=f"results/{settings.scale}/benchmarks",


# Addresses and patience of downloads reach jobs as resources, which trigger nothing: changing them makes no
# finished file anew, as inputs or params would.
outside = {
    name: getattr(settings, name).model_dump(mode="json", exclude_defaults=True)
    for name in ("assets", "download", "objaverse")
}
OUTSIDE = json.dumps(outside)
PATIENCE = json.dumps(outside["download"])
# An alternation of nothing would match the empty name.
NO_NAME = "(?!)"


# Texts that are embedded together, by name: those of the configuration, and the prompts of all subjects.
prompt_sets = {name: prompts.model_dump(mode="json") for name, prompts in settings.prompts.items()}
prompt_sets["subjects"] = {
    "texts": list(dict.fromkeys(subject.prompt for subject in settings.subjects.values())),
    "views": True,
}


wildcard_constraints:
    asset="|".join(sheet),
    file="|".join(settings.files) or NO_NAME,
    light="|".join(settings.lights),
    dress="|".join(settings.dresses) or NO_NAME,
    variant="|".join(settings.reconstruct),
    arm="|".join(settings.recover),
    method="|".join(settings.variants),
    subject="|".join(settings.subjects) or NO_NAME,
    prompts="|".join(prompt_sets),
    picture="|".join(settings.pictures),
    model="|".join(settings.models),
    trained="|".join(type(settings.train).model_fields),
    seed=r"\d+",


def watched_file(source):
    """The path behind a picture's source, for Snakemake to watch; a bundled photograph has none."""
    return [] if source.startswith("skimage:") else source


def model_sums(model):
    """The checksums of a local model folder: when they change, the model is checked again."""
    folder = settings.models[model].folder
    return [] if folder is None else f"{folder}/SHA256SUMS"


def bundled_mesh(asset):
    """The shipped mesh of a generated asset, for Snakemake to watch; an Objaverse object has none."""
    return f"data/mini/meshes/{asset}.glb" if sheet[asset].source == "mini" else []


def meshes_of(split):
    """Names of the shipped meshes of one split, whatever the scale."""
    return [row.asset for row in sheet.values() if row.source == "mini" and row.split == split]


def training_of(model):
    """Steps, batch and budget of one mini model."""
    own = getattr(settings.train, model)
    return getattr(own, "training", own)


def sitting_minutes(model):
    """Wall-clock budget of one sitting of a training, in whole minutes."""
    return int(training_of(model).minutes)


def objaverse_lock(asset):
    """What Objaverse says of its objects, for an asset that is one and is not known to be missing."""
    row = sheet[asset]
    return "<results>/lock/objaverse.json" if row.source == "objaverse" and not row.missing else []


def present_assets():
    """The assets of the scale that the sheet does not call missing."""
    return [name for name, row in assets.items() if not row.missing]


def models_at_hand():
    """All models but those that need not be there and are not."""
    return [
        name
        for name, model in settings.models.items()
        if model.needed or model.folder is None or Path(model.folder).exists()
    ]


def lock_of_text_encoder(model):
    """The lock file of the model whose text encoder a model was trained with."""
    return f"<results>/lock/{settings.models[model].text or model}.json"


def lock_of_panorama(light):
    """The lock file of the panorama behind a light; a generated one needs none."""
    file = settings.lights[light].file
    return [] if file is None else f"<results>/lock/files/{file}.json"


def prepared(dress, part):
    """One file of the prepared asset that a dress is made for."""
    return f"<results>/prepared/{settings.dresses[dress].asset}/{part}.safetensors"


def maps_of_dress(dress):
    """Maps of a procedural dress, or those baked from the asset's own materials."""
    own = settings.dresses[dress].material is None
    return prepared(dress, "maps") if own else f"<results>/dressed/{dress}/maps.safetensors"


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


def prepared_report(dress):
    """What was found in the file of a dressed asset, its author and licence included."""
    return f"<results>/prepared/{settings.dresses[dress].asset}/report.json"


def benchmarks_of_dress(dress):
    """What bringing, preparing and dressing one asset cost."""
    asset = settings.dresses[dress].asset
    shared = [f"<benchmarks>/fetch_asset/{asset}.tsv", f"<benchmarks>/prepare/{asset}.tsv"]
    own = settings.dresses[dress].material is None
    return shared if own else [*shared, f"<benchmarks>/dress/{dress}.tsv"]


def megabytes_of_text_encoder(model):
    """What the weights of a model's text encoder take on disk, in half precision as far as is known."""
    source = settings.models[settings.models[model].text or model]
    if source.folder is not None:
        weights = Path(source.folder, "text_encoder").glob("*.safetensors")
        return sum(path.stat().st_size for path in weights) // 10**6
    # T5-XXL has 4.8 billion weights, the largest CLIP that is published with Stable Diffusion 0.35.
    return 9_500 if source.repository.startswith("DeepFloyd/") else 1_400


def memory_of_embedding(model):
    """The weights as they are read and as they are kept, twice as wide in float32, and the libraries."""
    precision = settings.embed.precision
    wide = precision == "float32" or (precision == "auto" and settings.embed.device == "cpu")
    return f"{2_000 + (3 if wide else 2) * megabytes_of_text_encoder(model)}MB"


def drawn(model):
    """The entry of a model of the sheet."""
    return settings.samples.models[model]


def base_pictures(model):
    """The base model's pictures, for an upsampler."""
    base = drawn(model).base
    return [] if base is None else f"<results>/samples/{base}/pictures.safetensors"


def lock_under(model):
    """The lock file of the Stable Diffusion under a ControlNet."""
    return f"<results>/lock/{settings.models[model].text}.json" if drawn(model).stage == "depth" else []


def mesh_for_depth(model):
    """The prepared mesh whose depth a ControlNet is shown."""
    return (
        f"<results>/prepared/{settings.samples.depth_of}/mesh.safetensors"
        if drawn(model).stage == "depth"
        else []
    )


def lock_of_arm(arm):
    """The autoencoder's lock file for a latent arm of the toy experiment on a mesh."""
    latent = settings.recover[arm].kind == "latent"
    return f"<results>/lock/{settings.texture_toy.vae}.json" if latent else []


def arm_on_gpu(arm):
    """Whether an arm of the toy experiment on a mesh runs on a GPU."""
    return settings.recover[arm].execution.device == "cuda"


def recovered_files(pattern):
    """One file of `recover` for every run of the exhibit."""
    sweep = settings.recovery()
    return expand(pattern, arm=sweep.arms, dress=sweep.dresses, seed=sweep.seeds)


def embedded_subjects(method):
    """The prompts of all subjects as the text encoder of a method's model has them.

    Its age does not matter: a texture that needs another prompt has another parameter, one that needs another
    encoder another lock file, and a new subject leaves the textures of all others alone.
    """
    model = settings.variants[method].model
    return ancient(f"<results>/embeddings/{settings.models[model].text or model}/subjects.safetensors")


def maps_to_begin_with(method, subject, seed):
    """The maps of the stage before, or the asset's own where a method begins with given ones."""
    variant = settings.variants[method]
    if variant.after is not None:
        return f"<results>/textures/{variant.after}/{subject}/seed{seed}/maps.safetensors"
    own = variant.stage.texture.initial == "given"
    return f"<results>/prepared/{settings.subjects[subject].asset}/maps.safetensors" if own else []


def method_on_gpu(method):
    """Whether a method runs on a GPU."""
    return settings.variants[method].stage.execution.device == "cuda"


def textures_of(exhibit, pattern):
    """One file of `synthesise`, or of what looks at its maps, for every texture of an exhibit."""
    sweep = settings.textures_of(exhibit)
    return expand(pattern, method=sweep.methods, subject=sweep.subjects, seed=sweep.seeds)


# Exhibits in `all` that are made of synthesised textures.
TEXTURED = ("teaser", "ablations")


def synthesised(exhibit, pattern):
    """One file of `synthesise` for every texture of an exhibit, and for every one that it begins with."""
    sweep, methods = settings.textures_of(exhibit), list()
    for method in sweep.methods:
        while method is not None:
            methods.append(method)
            method = settings.variants[method].after
    return expand(pattern, method=unique(methods), subject=sweep.subjects, seed=sweep.seeds)


def settings_of_dress(subject):
    """What a subject's prompt asks for, as a file; rules that need it are for subjects that have one."""
    dress = settings.subjects[subject].dress
    if dress is None or settings.dresses[dress].material is None:
        raise WorkflowError(
            f"the subject {subject} is compared with a material; give it a `dress` that has one"
        )
    return f"<results>/settings/dresses/{dress}.json"


def start_of_base(wildcards):
    """The larger stage I that a small one starts from, where its settings name one."""
    start = getattr(settings.train, wildcards.base).start
    return {} if start is None else {"start": f"results/train/{start}/SHA256SUMS"}


def embedding_benchmarks(samples):
    """What embedding the prompts of the sheet cost, once per text encoder."""
    encoders = unique(settings.models[model].text or model for model in samples.models)
    return [f"<benchmarks>/embed/{encoder}/{samples.prompts}.tsv" for encoder in encoders]
