# The mini cascade: a text encoder trained on sentences, two sizes of stage I, and stage II. Each training stops at
# its wall-clock budget and continues when it is asked for again.


rule train_t5:
    """The text encoder of the cascade, before any picture; about two minutes."""
    input:
        settings="results/train/settings/t5.json",
    output:
        sums="results/train/t5/SHA256SUMS",
    log:
        "results/train/logs/train_t5.log",
    benchmark:
        "results/train/benchmarks/train_t5.tsv"
    threads: 1
    resources:
        mem="1500MB",
        runtime=30,
    params:
        folder=subpath(output.sums, parent=True),
        checkpoints="results/checkpoints/train_t5",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_t5 --settings {input.settings}"
        " --checkpoints {params.checkpoints} --output {params.folder} > {log} 2>&1"


rule train_base:
    """One size of stage I: text to 32 px; a small one may start from a larger one."""
    input:
        unpack(start_of_base),
        settings="results/train/settings/{base}.json",
        corpus=rules.corpus.output.record,
        text=rules.train_t5.output.sums,
    output:
        sums="results/train/{base}/SHA256SUMS",
        training="results/train/{base}/training.json",
    log:
        "results/train/logs/train_base/{base}.log",
    benchmark:
        "results/train/benchmarks/train_base/{base}.tsv"
    wildcard_constraints:
        base="if_m|if_xl",
    threads: 1
    resources:
        mem="3GB",
        runtime=lambda wildcards: sitting_minutes(wildcards.base) + 15,
        sitting=lambda wildcards: sitting_minutes(wildcards.base),
    params:
        folder=subpath(output.sums, parent=True),
        corpus=subpath(input.corpus, parent=True),
        text=subpath(input.text, parent=True),
        start=lambda wildcards, input: (
            f"--start {Path(input.start).parent}" if "start" in input.keys() else ""
        ),
        checkpoints="results/checkpoints/train_{base}",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_base --settings {input.settings} --corpus {params.corpus}"
        " --text {params.text} {params.start} --minutes {resources.sitting} --checkpoints {params.checkpoints}"
        " --output {params.folder} > {log} 2>&1"


rule train_upsampler:
    """Stage II: 32 to 128 px."""
    input:
        settings="results/train/settings/if_ii.json",
        corpus=rules.corpus.output.record,
        text=rules.train_t5.output.sums,
    output:
        sums="results/train/if_ii/SHA256SUMS",
        training="results/train/if_ii/training.json",
    log:
        "results/train/logs/train_upsampler.log",
    benchmark:
        "results/train/benchmarks/train_upsampler.tsv"
    threads: 1
    resources:
        mem="4GB",
        runtime=sitting_minutes("if_ii") + 15,
        sitting=sitting_minutes("if_ii"),
    params:
        folder=subpath(output.sums, parent=True),
        corpus=subpath(input.corpus, parent=True),
        text=subpath(input.text, parent=True),
        checkpoints="results/checkpoints/train_if_ii",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_upsampler --settings {input.settings}"
        " --corpus {params.corpus} --text {params.text} --minutes {resources.sitting}"
        " --checkpoints {params.checkpoints} --output {params.folder} > {log} 2>&1"


rule measure_upsampler:
    """The yardstick of stage II: held-out renders sharper than bicubic enlargement makes them."""
    input:
        model=rules.train_upsampler.output.sums,
        pictures=rules.held_out.output.record,
    output:
        yardstick="results/train/if_ii/yardstick.json",
        sheet="results/train/if_ii/samples.png",
    log:
        "results/train/logs/measure_upsampler.log",
    benchmark:
        "results/train/benchmarks/measure_upsampler.tsv"
    threads: 1
    resources:
        mem="3GB",
    params:
        model=subpath(input.model, parent=True),
        pictures=subpath(input.pictures, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_upsampler --model {params.model}"
        " --pictures {params.pictures} --output {output.yardstick} --sheet {output.sheet} > {log} 2>&1"
