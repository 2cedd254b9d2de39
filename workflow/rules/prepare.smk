rule prepare:
    """One asset as a normalised mesh with one atlas, and its own materials baked into that atlas."""
    input:
        lock=rules.fetch_asset.output.lock,
        settings=rules.resolve_prepare.output.settings,
    output:
        mesh="<results>/prepared/{asset}/mesh.safetensors",
        maps="<results>/prepared/{asset}/maps.safetensors",
        report="<results>/prepared/{asset}/report.json",
    log:
        "<logs>/prepare/{asset}.log",
    benchmark:
        "<benchmarks>/prepare/{asset}.tsv"
    threads: 1
    resources:
        mem="3GB",
    params:
        folder=subpath(output.mesh, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.prepare --lock {input.lock} --settings {input.settings}"
        " --output {params.folder} > {log} 2>&1"
