rule picture:
    """One target picture as PNG, uncropped."""
    input:
        source=lambda wildcards: watched_file(settings.pictures[wildcards.picture]),
    output:
        picture="<results>/pictures/{picture}.png",
    log:
        "<logs>/picture/{picture}.log",
    benchmark:
        "<benchmarks>/picture/{picture}.tsv"
    localrule: True
    resources:
        mem="1500MB",
    params:
        source=lambda wildcards: settings.pictures[wildcards.picture],
    shell:
        "python -m castex.cli.picture --source {params.source:q} --output {output.picture} > {log} 2>&1"
