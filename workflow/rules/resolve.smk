# Settings as files: a stage reads one resolved file, so changing one variant reruns that variant alone.


rule resolve_variant:
    """The settings of one variant of the toy experiment."""
    output:
        settings="<results>/settings/reconstruct/{variant}.json",
    log:
        "<logs>/resolve_variant/{variant}.log",
    benchmark:
        "<benchmarks>/resolve_variant/{variant}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: settings.reconstruct[wildcards.variant].model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_model:
    """Where one model comes from."""
    output:
        settings="<results>/settings/models/{model}.json",
    log:
        "<logs>/resolve_model/{model}.log",
    benchmark:
        "<benchmarks>/resolve_model/{model}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: settings.models[wildcards.model].model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_file:
    """Where one other file comes from."""
    output:
        settings="<results>/settings/files/{file}.json",
    log:
        "<logs>/resolve_file/{file}.log",
    benchmark:
        "<benchmarks>/resolve_file/{file}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: settings.files[wildcards.file].model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_prepare:
    """How meshes are prepared."""
    output:
        settings="<results>/settings/prepare.json",
    log:
        "<logs>/resolve_prepare.log",
    benchmark:
        "<benchmarks>/resolve_prepare.tsv"
    localrule: True
    params:
        settings=settings.assets.prepare.model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_light:
    """One environment light."""
    output:
        settings="<results>/settings/lights/{light}.json",
    log:
        "<logs>/resolve_light/{light}.log",
    benchmark:
        "<benchmarks>/resolve_light/{light}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: settings.lights[wildcards.light].model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_anchoring_theory:
    """Figure 3 in closed form."""
    output:
        settings="<results>/settings/anchoring_theory.json",
    log:
        "<logs>/resolve_anchoring_theory.log",
    benchmark:
        "<benchmarks>/resolve_anchoring_theory.tsv"
    localrule: True
    params:
        settings=settings.anchoring_theory.model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_dress:
    """What one asset wears."""
    output:
        settings="<results>/settings/dresses/{dress}.json",
    log:
        "<logs>/resolve_dress/{dress}.log",
    benchmark:
        "<benchmarks>/resolve_dress/{dress}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: settings.dresses[wildcards.dress].model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_training:
    """The settings of the training of the mini autoencoder."""
    output:
        settings="results/train/settings/train_vae.json",
    log:
        "results/train/logs/resolve_training.log",
    benchmark:
        "results/train/benchmarks/resolve_training.tsv"
    localrule: True
    params:
        # Neither the budget of a sitting nor the yardstick's size changes the trained weights.
        settings=settings.train_vae.model_dump(mode="json", exclude={"minutes", "evaluation_size"}),
    script:
        "../scripts/resolve.py"


rule resolve_corpus:
    """The settings of the training pictures, of all models or of the judge alone."""
    output:
        settings="results/train/settings/{corpus}.json",
    log:
        "results/train/logs/resolve_corpus/{corpus}.log",
    benchmark:
        "results/train/benchmarks/resolve_corpus/{corpus}.tsv"
    wildcard_constraints:
        corpus="corpus|judge_corpus",
    localrule: True
    params:
        settings=lambda wildcards: getattr(settings, wildcards.corpus).model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule resolve_train:
    """The settings of one mini model: its shape, and how long it learns."""
    output:
        settings="results/train/settings/{trained}.json",
    log:
        "results/train/logs/resolve_train/{trained}.log",
    benchmark:
        "results/train/benchmarks/resolve_train/{trained}.tsv"
    localrule: True
    params:
        # The budget of a sitting does not change the trained weights.
        settings=lambda wildcards: getattr(settings.train, wildcards.trained).model_dump(
            mode="json", exclude={"minutes": True, "training": {"minutes"}}
        ),
    script:
        "../scripts/resolve.py"
