# Lights and what they shine on.


rule prefilter:
    """One environment light: a panorama, generated or fetched, as a prefiltered cube map."""
    input:
        settings=rules.resolve_light.output.settings,
        lock=lambda wildcards: lock_of_panorama(wildcards.light),
    output:
        light="<results>/lights/{light}.safetensors",
    log:
        "<logs>/prefilter/{light}.log",
    benchmark:
        "<benchmarks>/prefilter/{light}.tsv"
    threads: 1
    resources:
        mem="2GB",
    params:
        lock=lambda wildcards, input: f"--lock {input.lock}" if input.lock else "",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.prefilter --settings {input.settings} {params.lock}"
        " --output {output.light} > {log} 2>&1"


rule dress:
    """The four maps of a prepared mesh in a procedural material."""
    input:
        mesh=lambda wildcards: prepared(wildcards.dress, "mesh"),
        settings=rules.resolve_dress.output.settings,
    output:
        maps="<results>/dressed/{dress}/maps.safetensors",
    log:
        "<logs>/dress/{dress}.log",
    benchmark:
        "<benchmarks>/dress/{dress}.tsv"
    threads: 1
    resources:
        mem="2GB",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.dress --mesh {input.mesh} --settings {input.settings}"
        " --output {output.maps} > {log} 2>&1"


rule relight:
    """One dressed mesh under every light of the exhibit."""
    input:
        mesh=lambda wildcards: prepared(wildcards.dress, "mesh"),
        maps=lambda wildcards: maps_of_dress(wildcards.dress),
        lights=expand(rules.prefilter.output.light, light=settings.relighting.lights),
    output:
        pictures=expand(
            "<results>/relighting/{{dress}}/{picture}.png",
            picture=["albedo", "roughness", "metallic", "normal", *settings.relighting.lights],
        ),
        result="<results>/relighting/{dress}/result.json",
    log:
        "<logs>/relight/{dress}.log",
    benchmark:
        "<benchmarks>/relight/{dress}.tsv"
    threads: 1
    resources:
        mem="2GB",
    params:
        folder=subpath(output.result, parent=True),
        camera=lambda wildcards: " ".join(
            f"--{name}={getattr(settings.relighting, name)}" for name in ("size", "azimuth", "elevation")
        ),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.relight --mesh {input.mesh} --maps {input.maps}"
        " --lights {input.lights} {params.camera} --output {params.folder} > {log} 2>&1"


rule measure_render:
    """Seconds and memory of one step's rendering at the paper's size, against their budgets; no part of `all`."""
    input:
        budgets="data/render_budgets.yaml",
    output:
        table="<results>/speed/render.csv",
        record="<results>/speed/render.json",
    log:
        "<logs>/measure_render.log",
    benchmark:
        "<benchmarks>/measure_render.tsv"
    threads: 2
    resources:
        mem="3GB",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_render --budgets {input.budgets}"
        " --output {output.record} --table {output.table} > {log} 2>&1"
