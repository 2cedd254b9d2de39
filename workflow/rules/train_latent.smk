# The mini latent models: the autoencoder of Figure 2 continued on renders, the UNet and text encoder on its codes,
# and the depth ControlNet. Each training stops at its wall-clock budget and continues when it is asked for again.


rule train_sd_vae:
    """The autoencoder of all latent experiments: that of `train_vae`, continued on renders."""
    input:
        settings="results/train/settings/sd_vae.json",
        corpus=rules.corpus.output.record,
        start=f"{settings.train.sd_vae.start or 'results/train/vae'}/SHA256SUMS",
    output:
        sums="results/train/sd_vae/SHA256SUMS",
        training="results/train/sd_vae/training.json",
    log:
        "results/train/logs/train_sd_vae.log",
    benchmark:
        "results/train/benchmarks/train_sd_vae.tsv"
    threads: 1
    resources:
        mem="4GB",
        runtime=sitting_minutes("sd_vae") + 15,
        sitting=sitting_minutes("sd_vae"),
    params:
        folder=subpath(output.sums, parent=True),
        corpus=subpath(input.corpus, parent=True),
        start=subpath(input.start, parent=True),
        checkpoints="results/checkpoints/train_sd_vae",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_sd_vae --settings {input.settings}"
        " --corpus {params.corpus} --vae {params.start} --minutes {resources.sitting}"
        " --checkpoints {params.checkpoints} --output {params.folder} > {log} 2>&1"


rule measure_sd_vae:
    """The yardstick of that autoencoder: photographs and renders, the best linear block code as control."""
    input:
        model=rules.train_sd_vae.output.sums,
        start=f"{settings.train.sd_vae.start or 'results/train/vae'}/SHA256SUMS",
        corpus=rules.corpus.output.record,
        held_out=rules.held_out.output.record,
    output:
        yardstick="results/train/sd_vae/yardstick.json",
        sheet="results/train/sd_vae/samples.png",
    log:
        "results/train/logs/measure_sd_vae.log",
    benchmark:
        "results/train/benchmarks/measure_sd_vae.tsv"
    threads: 1
    resources:
        mem="4GB",
    params:
        model=subpath(input.model, parent=True),
        start=subpath(input.start, parent=True),
        corpus=subpath(input.corpus, parent=True),
        held_out=subpath(input.held_out, parent=True),
        size=settings.train_vae.evaluation_size,
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_sd_vae --vae {params.model} --start {params.start}"
        " --corpus {params.corpus} --held-out {params.held_out} --size {params.size}"
        " --output {output.yardstick} --sheet {output.sheet} > {log} 2>&1"


rule encode_corpus:
    """The training pictures as codes, once for both trainings that need them."""
    input:
        model=rules.train_sd_vae.output.sums,
        corpus=rules.corpus.output.record,
    output:
        record="results/train/sd_codes/codes.json",
        codes="results/train/sd_codes/codes.safetensors",
    log:
        "results/train/logs/encode_corpus.log",
    benchmark:
        "results/train/benchmarks/encode_corpus.tsv"
    threads: 1
    resources:
        mem="4GB",
    params:
        folder=subpath(output.record, parent=True),
        model=subpath(input.model, parent=True),
        corpus=subpath(input.corpus, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.encode_corpus --corpus {params.corpus}"
        " --vae {params.model} --output {params.folder} > {log} 2>&1"


rule train_sd:
    """UNet and text encoder of the mini Stable Diffusion."""
    input:
        settings="results/train/settings/sd.json",
        codes=rules.encode_corpus.output.record,
        vae=rules.train_sd_vae.output.sums,
    output:
        sums="results/train/sd/SHA256SUMS",
        training="results/train/sd/training.json",
    log:
        "results/train/logs/train_sd.log",
    benchmark:
        "results/train/benchmarks/train_sd.tsv"
    threads: 1
    resources:
        mem="2500MB",
        runtime=sitting_minutes("sd") + 15,
        sitting=sitting_minutes("sd"),
    params:
        folder=subpath(output.sums, parent=True),
        codes=subpath(input.codes, parent=True),
        vae=subpath(input.vae, parent=True),
        checkpoints="results/checkpoints/train_sd",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_sd --settings {input.settings} --codes {params.codes}"
        " --vae {params.vae} --minutes {resources.sitting} --checkpoints {params.checkpoints}"
        " --output {params.folder} > {log} 2>&1"


rule measure_latent:
    """The yardstick of the mini Stable Diffusion: its error with the right prompt, another one, and none."""
    input:
        model=rules.train_sd.output.sums,
        held_out=rules.held_out.output.record,
    output:
        yardstick="results/train/sd/yardstick.json",
        sheet="results/train/sd/samples.png",
    log:
        "results/train/logs/measure_latent.log",
    benchmark:
        "results/train/benchmarks/measure_latent.tsv"
    threads: 1
    resources:
        mem="3GB",
    params:
        model=subpath(input.model, parent=True),
        held_out=subpath(input.held_out, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_latent --model {params.model}"
        " --held-out {params.held_out} --output {output.yardstick} --sheet {output.sheet} > {log} 2>&1"


rule train_controlnet:
    """The depth ControlNet, on the frozen mini Stable Diffusion."""
    input:
        settings="results/train/settings/controlnet_depth.json",
        corpus=rules.corpus.output.record,
        codes=rules.encode_corpus.output.record,
        model=rules.train_sd.output.sums,
    output:
        sums="results/train/controlnet_depth/SHA256SUMS",
        training="results/train/controlnet_depth/training.json",
    log:
        "results/train/logs/train_controlnet.log",
    benchmark:
        "results/train/benchmarks/train_controlnet.tsv"
    threads: 1
    resources:
        mem="3GB",
        runtime=sitting_minutes("controlnet_depth") + 15,
        sitting=sitting_minutes("controlnet_depth"),
    params:
        folder=subpath(output.sums, parent=True),
        corpus=subpath(input.corpus, parent=True),
        codes=subpath(input.codes, parent=True),
        model=subpath(input.model, parent=True),
        checkpoints="results/checkpoints/train_controlnet",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_controlnet --settings {input.settings}"
        " --corpus {params.corpus} --codes {params.codes} --sd {params.model} --minutes {resources.sitting}"
        " --checkpoints {params.checkpoints} --output {params.folder} > {log} 2>&1"


rule measure_controlnet:
    """The yardstick of the ControlNet: the right depth against another one and none, and outlines that agree."""
    input:
        controlnet=rules.train_controlnet.output.sums,
        model=rules.train_sd.output.sums,
        held_out=rules.held_out.output.record,
    output:
        yardstick="results/train/controlnet_depth/yardstick.json",
        sheet="results/train/controlnet_depth/samples.png",
    log:
        "results/train/logs/measure_controlnet.log",
    benchmark:
        "results/train/benchmarks/measure_controlnet.tsv"
    threads: 1
    resources:
        mem="3GB",
    params:
        controlnet=subpath(input.controlnet, parent=True),
        model=subpath(input.model, parent=True),
        held_out=subpath(input.held_out, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_controlnet --model {params.controlnet}"
        " --sd {params.model} --held-out {params.held_out} --output {output.yardstick} --sheet {output.sheet}"
        " > {log} 2>&1"
