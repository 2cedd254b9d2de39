# The only stage that may open a socket; every later job runs offline.


rule fetch:
    """Bring or find one model, check every byte, and record what was found."""
    input:
        settings=rules.resolve_model.output.settings,
        sums=lambda wildcards: model_sums(wildcards.model),
    output:
        lock="<results>/lock/{model}.json",
    log:
        "<logs>/fetch/{model}.log",
    benchmark:
        "<benchmarks>/fetch/{model}.tsv"
    localrule: True
    resources:
        mem="500MB",
    params:
        cache=settings.cache,
    shell:
        "python -m castex.cli.fetch --settings {input.settings} --name {wildcards.model}"
        " --cache {params.cache:q} --output {output.lock} > {log} 2>&1"


rule fetch_all:
    """Everything that the scale needs from outside; run it where there is a network."""
    input:
        expand(rules.fetch.output.lock, model=settings.models),
    localrule: True
