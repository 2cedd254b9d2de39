# How the shipped mini models are made. No part of `all`: ask for `train_mini`. Nothing here writes under
# data/; `make ship-models` checks the yardsticks and copies.


rule train_vae:
    """The mini autoencoder of Figure 2; stops at its wall-clock budget and continues when run again."""
    input:
        settings=rules.resolve_training.output.settings,
    output:
        config="results/train/vae/config.json",
        weights="results/train/vae/diffusion_pytorch_model.safetensors",
        sums="results/train/vae/SHA256SUMS",
        losses="results/train/vae/loss.csv",
        training="results/train/vae/training.json",
    log:
        "results/train/logs/train_vae.log",
    benchmark:
        "results/train/benchmarks/train_vae.tsv"
    threads: 1
    resources:
        mem="3GB",
        runtime=int(settings.train_vae.minutes) + 15,
        sitting=int(settings.train_vae.minutes),
    params:
        folder=subpath(output.config, parent=True),
        checkpoints="results/checkpoints/train_vae",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_vae --settings {input.settings}"
        " --minutes {resources.sitting} --checkpoints {params.checkpoints} --output {params.folder} > {log} 2>&1"


rule measure_vae:
    """The yardstick of the trained autoencoder, with the best linear block code as its control."""
    input:
        weights=rules.train_vae.output.weights,
        config=rules.train_vae.output.config,
        sums=rules.train_vae.output.sums,
    output:
        yardstick="results/train/vae/yardstick.json",
        sheet="results/train/vae/samples.png",
    log:
        "results/train/logs/measure_vae.log",
    benchmark:
        "results/train/benchmarks/measure_vae.tsv"
    resources:
        mem="1500MB",
    params:
        folder=subpath(input.weights, parent=True),
        size=settings.train_vae.evaluation_size,
    shell:
        "python -m castex.cli.measure_vae --vae {params.folder} --size {params.size}"
        " --output {output.yardstick} --sheet {output.sheet} > {log} 2>&1"


rule train_mini:
    """Everything that is shipped: models trained and measured, meshes made."""
    input:
        rules.measure_vae.output,
        expand(rules.measure_samples.output, base=["if_m", "if_xl"]),
        rules.measure_upsampler.output,
        rules.measure_sd_vae.output,
        rules.measure_latent.output,
        rules.measure_controlnet.output,
        rules.measure_clip.output,
        rules.make_meshes.output,
    localrule: True
