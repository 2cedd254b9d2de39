# Pictures that the models of the scale draw by themselves, from the same prompts.


rule resolve_samples:
    """How one model draws."""
    output:
        settings="<results>/settings/samples/{model}.json",
    log:
        "<logs>/resolve_samples/{model}.log",
    benchmark:
        "<benchmarks>/resolve_samples/{model}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: {
            "model": drawn(wildcards.model).model_dump(mode="json"),
            "sample": settings.samples.sample.model_dump(mode="json"),
        },
    script:
        "../scripts/resolve.py"


rule draw_samples:
    """Pictures of one model from all prompts, and what the judge calls them."""
    input:
        settings=rules.resolve_samples.output.settings,
        lock=rules.fetch.output.lock,
        judge="<results>/lock/clip.json",
        texts=f"<results>/settings/prompts/{settings.samples.prompts}.json",
        embeddings=lambda wildcards: "<results>/embeddings/{model}/{prompts}.safetensors".format(
            model=settings.models[wildcards.model].text or wildcards.model, prompts=settings.samples.prompts
        ),
        base=lambda wildcards: base_pictures(wildcards.model),
        under=lambda wildcards: lock_under(wildcards.model),
        mesh=lambda wildcards: mesh_for_depth(wildcards.model),
    output:
        pictures="<results>/samples/{model}/pictures.safetensors",
        result="<results>/samples/{model}/result.json",
    log:
        "<logs>/draw_samples/{model}.log",
    benchmark:
        "<benchmarks>/draw_samples/{model}.tsv"
    threads: 1
    resources:
        mem="24GB" if settings.samples.sample.execution.device == "cuda" else "2GB",
        gpu=int(settings.samples.sample.execution.device == "cuda"),
    params:
        more=lambda wildcards, input: " ".join(
            f"--{name} {path}"
            for name, path in (("base", input.base), ("under", input.under), ("mesh", input.mesh))
            if path
        ),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.draw_samples --name {wildcards.model}"
        " --settings {input.settings} --model {input.lock} --texts {input.texts} --embeddings {input.embeddings}"
        " --judge {input.judge} {params.more} --pictures {output.pictures} --output {output.result} > {log} 2>&1"
