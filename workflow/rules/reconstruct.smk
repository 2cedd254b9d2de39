rule reconstruct:
    """One arm of the toy experiment on one picture with one seed."""
    input:
        settings=rules.resolve_variant.output.settings,
        picture=rules.picture.output.picture,
        vae=lambda wildcards: lock_of_latent(wildcards.variant),
    output:
        result="<results>/reconstructions/{variant}/{picture}/seed{seed}/result.json",
        trace="<results>/reconstructions/{variant}/{picture}/seed{seed}/trace.csv",
        pictures="<results>/reconstructions/{variant}/{picture}/seed{seed}/pictures.safetensors",
        theta="<results>/reconstructions/{variant}/{picture}/seed{seed}/theta.png",
    log:
        "<logs>/reconstruct/{variant}/{picture}/seed{seed}.log",
    benchmark:
        "<benchmarks>/reconstruct/{variant}/{picture}/seed{seed}.tsv"
    threads: 1
    resources:
        mem=lambda wildcards: memory_of(wildcards.variant),
        gpu=lambda wildcards: int(settings.reconstruct[wildcards.variant].device == "cuda"),
    params:
        folder=subpath(output.result, parent=True),
        vae=lambda wildcards, input: f"--vae {input.vae}" if input.vae else "",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.reconstruct --settings {input.settings}"
        " --image {input.picture} {params.vae} --seed {wildcards.seed}"
        " --variant {wildcards.variant}"
        " --output {params.folder} > {log} 2>&1"
