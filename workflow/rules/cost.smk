# Counting and timing need configurations, no weights, so nothing is downloaded for them: the scale's own models are
# counted where their folders are here, and the published shapes, which always are, stand for those of a repository.
counted = [name for name in models_at_hand() if settings.models[name].folder is not None]


rule measure_cost:
    """Count the published shapes and the models that are here, and time the latter on this machine."""
    input:
        sums=[model_sums(model) for model in counted],
        budgets="data/cost_budgets.yaml",
    output:
        record="<results>/cost/cost.json",
        table="<results>/cost/budgets.csv",
    log:
        "<logs>/measure_cost.log",
    benchmark:
        "<benchmarks>/measure_cost.tsv"
    threads: 1
    resources:
        mem="24GB" if settings.scale == "paper" else "2GB",
        gpu=int(settings.scale == "paper"),
    params:
        # Views of a step with the base model and with the upsampler.
        views="8 8" if settings.scale == "paper" else "4 2",
        models=" ".join(f"{name}={settings.models[name].folder}" for name in counted),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_cost --models {params.models}"
        " --views {params.views} --budgets {input.budgets} --output {output.record} --table {output.table} > {log} 2>&1"
