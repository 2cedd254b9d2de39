# Prompts as numbers: once per set of prompts and text encoder, in a process that holds nothing else.


rule resolve_prompts:
    """Texts that are embedded together."""
    output:
        settings="<results>/settings/prompts/{prompts}.json",
    log:
        "<logs>/resolve_prompts/{prompts}.log",
    benchmark:
        "<benchmarks>/resolve_prompts/{prompts}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: prompt_sets[wildcards.prompts],
    script:
        "../scripts/resolve.py"


rule embed:
    """Prompts and their view words, embedded by the text encoder of one model."""
    input:
        lock=lambda wildcards: lock_of_text_encoder(wildcards.model),
        texts=rules.resolve_prompts.output.settings,
    output:
        embeddings="<results>/embeddings/{model}/{prompts}.safetensors",
    log:
        "<logs>/embed/{model}/{prompts}.log",
    benchmark:
        "<benchmarks>/embed/{model}/{prompts}.tsv"
    threads: 1
    resources:
        gpu=int(settings.embed.device == "cuda"),
        mem=lambda wildcards: memory_of_embedding(wildcards.model),
    params:
        settings=settings.embed.model_dump_json(exclude_defaults=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.embed --model {input.lock} --texts {input.texts}"
        " --settings {params.settings:q} --output {output.embeddings} > {log} 2>&1"
