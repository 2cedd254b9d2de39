# Texture synthesis: one stage of one method on one subject with one seed. Stages rest on disk, so that whatever
# continues a base stage shares it.


rule resolve_method:
    """The settings of one stage."""
    output:
        settings="<results>/settings/methods/{method}.json",
    log:
        "<logs>/resolve_method/{method}.log",
    benchmark:
        "<benchmarks>/resolve_method/{method}.tsv"
    localrule: True
    params:
        settings=lambda wildcards: settings.variants[wildcards.method].stage.model_dump(mode="json"),
    script:
        "../scripts/resolve.py"


rule synthesise:
    """The four maps of a subject."""
    input:
        settings=rules.resolve_method.output.settings,
        mesh=lambda wildcards: f"<results>/prepared/{settings.subjects[wildcards.subject].asset}/mesh.safetensors",
        light=lambda wildcards: f"<results>/lights/{settings.variants[wildcards.method].light}.safetensors",
        embeddings=lambda wildcards: embedded_subjects(wildcards.method),
        model=lambda wildcards: f"<results>/lock/{settings.variants[wildcards.method].model}.json",
        text=lambda wildcards: lock_of_text_encoder(settings.variants[wildcards.method].model),
        base=lambda wildcards: maps_to_begin_with(wildcards.method, wildcards.subject, wildcards.seed),
    output:
        maps="<results>/textures/{method}/{subject}/seed{seed}/maps.safetensors",
        trace="<results>/textures/{method}/{subject}/seed{seed}/trace.csv",
        preview="<results>/textures/{method}/{subject}/seed{seed}/preview.png",
        snapshots=directory("<results>/textures/{method}/{subject}/seed{seed}/snapshots"),
        result="<results>/textures/{method}/{subject}/seed{seed}/result.json",
    log:
        "<logs>/synthesise/{method}/{subject}/seed{seed}.log",
    benchmark:
        "<benchmarks>/synthesise/{method}/{subject}/seed{seed}.tsv"
    group:
        "asset"
    threads: 1
    resources:
        mem=lambda wildcards: "24GB" if method_on_gpu(wildcards.method) else "2GB",
        gpu=lambda wildcards: int(method_on_gpu(wildcards.method)),
    params:
        folder=subpath(output.result, parent=True),
        prompt=lambda wildcards: settings.subjects[wildcards.subject].prompt,
        base=lambda wildcards, input: f"--base {input.base}" if input.base else "",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.synthesise --settings {input.settings} --mesh {input.mesh}"
        " --light {input.light} --embeddings {input.embeddings} --model {input.model} --text-model {input.text}"
        " {params.base} --prompt {params.prompt:q} --asset {wildcards.subject} --seed {wildcards.seed}"
        " --output {params.folder} > {log} 2>&1"


rule recognise:
    """What the judge calls a texture, from cameras that no step has used."""
    input:
        mesh=rules.synthesise.input.mesh,
        maps=rules.synthesise.output.maps,
        light=rules.synthesise.input.light,
        judge="<results>/lock/clip.json",
    output:
        result="<results>/textures/{method}/{subject}/seed{seed}/recognised.json",
    log:
        "<logs>/recognise/{method}/{subject}/seed{seed}.log",
    benchmark:
        "<benchmarks>/recognise/{method}/{subject}/seed{seed}.tsv"
    group:
        "asset"
    threads: 1
    resources:
        mem="1500MB",
    params:
        prompt=lambda wildcards: settings.subjects[wildcards.subject].prompt,
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.recognise --mesh {input.mesh} --maps {input.maps}"
        " --light {input.light} --judge {input.judge} --prompt {params.prompt:q} --output {output.result} > {log} 2>&1"


rule drift:
    """How far an upsampling stage leaves its start, and what detail it finds, after each of its snapshots."""
    input:
        mesh=rules.synthesise.input.mesh,
        light=rules.synthesise.input.light,
        base=rules.synthesise.input.base,
        maps=rules.synthesise.output.maps,
        snapshots=rules.synthesise.output.snapshots,
        result=rules.synthesise.output.result,
        dress=lambda wildcards: settings_of_dress(wildcards.subject),
    output:
        pictures="<results>/textures/{method}/{subject}/seed{seed}/drift.safetensors",
        drift="<results>/textures/{method}/{subject}/seed{seed}/drift.json",
    log:
        "<logs>/drift/{method}/{subject}/seed{seed}.log",
    benchmark:
        "<benchmarks>/drift/{method}/{subject}/seed{seed}.tsv"
    group:
        "asset"
    threads: 1
    resources:
        mem="1500MB",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.drift --mesh {input.mesh} --light {input.light}"
        " --base {input.base} --result {input.result} --dress {input.dress} --output {output.drift}"
        " --pictures {output.pictures} > {log} 2>&1"


rule photograph:
    """One view of a texture, for people."""
    input:
        mesh=rules.synthesise.input.mesh,
        maps=rules.synthesise.output.maps,
        light=rules.synthesise.input.light,
    output:
        picture="<results>/textures/{method}/{subject}/seed{seed}/photograph.png",
    log:
        "<logs>/photograph/{method}/{subject}/seed{seed}.log",
    benchmark:
        "<benchmarks>/photograph/{method}/{subject}/seed{seed}.tsv"
    group:
        "asset"
    threads: 1
    resources:
        mem="1500MB",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.photograph --mesh {input.mesh} --maps {input.maps}"
        " --light {input.light} --output {output.picture} > {log} 2>&1"


rule dissect:
    """One step of a finished stage, opened up: every picture between the maps and the gradient."""
    input:
        result=rules.synthesise.output.result,
        maps=rules.synthesise.output.maps,
        mesh=rules.synthesise.input.mesh,
        light=rules.synthesise.input.light,
        embeddings=rules.synthesise.input.embeddings,
        model=rules.synthesise.input.model,
        base=rules.synthesise.input.base,
    output:
        pictures="<results>/textures/{method}/{subject}/seed{seed}/dissected.safetensors",
    log:
        "<logs>/dissect/{method}/{subject}/seed{seed}.log",
    benchmark:
        "<benchmarks>/dissect/{method}/{subject}/seed{seed}.tsv"
    group:
        "asset"
    threads: 1
    resources:
        mem=lambda wildcards: "24GB" if method_on_gpu(wildcards.method) else "2GB",
        gpu=lambda wildcards: int(method_on_gpu(wildcards.method)),
    params:
        base=lambda wildcards, input: f"--base {input.base}" if input.base else "",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.dissect --result {input.result} --mesh {input.mesh}"
        " --light {input.light} --embeddings {input.embeddings} --model {input.model} {params.base}"
        " --output {output.pictures} > {log} 2>&1"


rule appraise:
    """Numbers on a texture: likeness to prompt and material, seams, light baked into the albedo."""
    input:
        mesh=rules.synthesise.input.mesh,
        maps=rules.synthesise.output.maps,
        light=rules.synthesise.input.light,
        dress=lambda wildcards: settings_of_dress(wildcards.subject),
        judge="<results>/lock/clip.json",
    output:
        result="<results>/textures/{method}/{subject}/seed{seed}/appraised.json",
    log:
        "<logs>/appraise/{method}/{subject}/seed{seed}.log",
    benchmark:
        "<benchmarks>/appraise/{method}/{subject}/seed{seed}.tsv"
    group:
        "asset"
    threads: 1
    resources:
        mem="1500MB",
    params:
        prompt=lambda wildcards: settings.subjects[wildcards.subject].prompt,
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.appraise --mesh {input.mesh} --maps {input.maps}"
        " --light {input.light} --judge {input.judge} --dress {input.dress} --prompt {params.prompt:q}"
        " --output {output.result} > {log} 2>&1"
