# The toy experiment on a mesh: known maps, and what a perfect score recovers of them.


rule resolve_arm:
    """The settings of one arm."""
    output:
        settings="<results>/settings/recover/{arm}.json",
    log:
        "<logs>/resolve_arm/{arm}.log",
    benchmark:
        "<benchmarks>/resolve_arm/{arm}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: settings.recover[wildcards.arm].model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule recover:
    """One arm on one dressed mesh with one seed."""
    input:
        settings=rules.resolve_arm.output.settings,
        mesh=lambda wildcards: prepared(wildcards.dress, "mesh"),
        known=lambda wildcards: maps_of_dress(wildcards.dress),
        light=f"<results>/lights/{settings.texture_toy.light}.safetensors",
        vae=lambda wildcards: lock_of_arm(wildcards.arm),
    output:
        maps="<results>/recovered/{arm}/{dress}/seed{seed}/maps.safetensors",
        pictures="<results>/recovered/{arm}/{dress}/seed{seed}/pictures.safetensors",
        trace="<results>/recovered/{arm}/{dress}/seed{seed}/trace.csv",
        result="<results>/recovered/{arm}/{dress}/seed{seed}/result.json",
    log:
        "<logs>/recover/{arm}/{dress}/seed{seed}.log",
    benchmark:
        "<benchmarks>/recover/{arm}/{dress}/seed{seed}.tsv"
    threads: 1
    resources:
        mem=lambda wildcards: "8GB" if arm_on_gpu(wildcards.arm) else "1500MB",
        gpu=lambda wildcards: int(arm_on_gpu(wildcards.arm)),
    params:
        folder=subpath(output.result, parent=True),
        vae=lambda wildcards, input: f"--vae {input.vae}" if input.vae else "",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.recover --settings {input.settings} --mesh {input.mesh}"
        " --light {input.light} --known {input.known} {params.vae} --arm {wildcards.arm}"
        " --asset {wildcards.dress} --seed {wildcards.seed} --output {params.folder} > {log} 2>&1"


rule anchoring_theory:
    """Anchored and unanchored upsampling of normal pictures: derived, and run."""
    input:
        settings=rules.resolve_anchoring_theory.output.settings,
    output:
        result="<results>/anchoring_theory.json",
    log:
        "<logs>/anchoring_theory.log",
    benchmark:
        "<benchmarks>/anchoring_theory.tsv"
    threads: 1
    resources:
        mem="500MB",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.anchoring_theory --settings {input.settings}"
        " --output {output.result} > {log} 2>&1"
