rule measure_cost:
    """Count every network, the published shapes too, and time those of the scale on this machine."""
    input:
        locks=expand(rules.fetch.output.lock, model=settings.models),
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
        models=lambda wildcards, input: " ".join(
            f"{name}={lock}" for name, lock in zip(settings.models, input.locks)
        ),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_cost --models {params.models}"
        " --views {params.views} --budgets {input.budgets} --output {output.record} --table {output.table} > {log} 2>&1"
