# The only stage that may open a socket; every later job runs offline. Downloads try again by themselves, so no
# rule has retries.


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


rule fetch_file:
    """Bring one panorama, metric weight or mesh, check it, and record its hash."""
    input:
        settings=rules.resolve_file.output.settings,
    output:
        lock="<results>/lock/files/{file}.json",
    log:
        "<logs>/fetch_file/{file}.log",
    benchmark:
        "<benchmarks>/fetch_file/{file}.tsv"
    localrule: True
    resources:
        mem="500MB",
        patience=PATIENCE,
    params:
        cache=settings.cache,
    shell:
        "python -m castex.cli.fetch_file --settings {input.settings} --download {resources.patience:q}"
        " --name {wildcards.file} --cache {params.cache:q} --output {output.lock} > {log} 2>&1"


rule fetch_objaverse:
    """Bring what Objaverse says of the objects of the scale: places, titles, authors, licences."""
    output:
        lock="<results>/lock/objaverse.json",
    log:
        "<logs>/fetch_objaverse.log",
    benchmark:
        "<benchmarks>/fetch_objaverse.tsv"
    localrule: True
    resources:
        mem="3GB",
        outside=OUTSIDE,
    params:
        # Not the objects themselves: one that is added later is looked up by its own job.
        cache=settings.cache,
    shell:
        "python -m castex.cli.fetch_objaverse --config {resources.outside:q} --cache {params.cache:q}"
        " --output {output.lock} > {log} 2>&1"


rule fetch_asset:
    """Bring one asset, check it, and record its hash, author and licence; one that is gone, as missing."""
    input:
        index=lambda wildcards: objaverse_lock(wildcards.asset),
        mesh=lambda wildcards: bundled_mesh(wildcards.asset),
    output:
        lock="<results>/lock/assets/{asset}.json",
    log:
        "<logs>/fetch_asset/{asset}.log",
    benchmark:
        "<benchmarks>/fetch_asset/{asset}.tsv"
    localrule: True
    resources:
        mem="500MB",
        outside=OUTSIDE,
    params:
        # The sheet is no input: editing one row fetches that asset alone.
        row=lambda wildcards: sheet[wildcards.asset].model_dump(mode="json"),
        cache=settings.cache,
        index=lambda wildcards, input: f"--index {input.index}" if input.index else "",
    shell:
        "python -m castex.cli.fetch_asset --asset {wildcards.asset} --config {resources.outside:q} {params.index}"
        " --cache {params.cache:q} --output {output.lock} > {log} 2>&1"


rule fetch_ledger:
    """All assets of the scale in one table: title, author, licence, hash, what is missing and why."""
    input:
        locks=expand(rules.fetch_asset.output.lock, asset=assets),
    output:
        ledger="<results>/lock/assets.tsv",
    log:
        "<logs>/fetch_ledger.log",
    benchmark:
        "<benchmarks>/fetch_ledger.tsv"
    localrule: True
    resources:
        mem="500MB",
    shell:
        "python -m castex.cli.fetch_ledger --locks {input.locks} --output {output.ledger} > {log} 2>&1"


rule fetch_all:
    """Everything that the scale needs from outside; run it where there is a network."""
    input:
        expand(rules.fetch.output.lock, model=models_at_hand()),
        expand(rules.fetch_file.output.lock, file=settings.files),
        rules.fetch_ledger.output.ledger,
    localrule: True
