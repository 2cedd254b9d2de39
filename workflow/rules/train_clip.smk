# The judge of the mini family: a CLIP trained on pictures that no generator saw, its yardstick, and what it says
# of the pictures that the base models draw.


rule judge_corpus:
    """For the judge alone: corpus meshes in all pairs of colour and material, in the exhibits' lights."""
    input:
        settings="results/train/settings/judge_corpus.json",
        meshes=rules.corpus.input.meshes,
    output:
        record="results/train/judge_corpus/corpus.json",
    log:
        "results/train/logs/judge_corpus.log",
    benchmark:
        "results/train/benchmarks/judge_corpus.tsv"
    threads: 2
    resources:
        mem="2500MB",
    params:
        folder=subpath(output.record, parent=True),
    shell:
        "OMP_NUM_THREADS=1 python -m castex.cli.corpus --held-out --settings {input.settings} --meshes {input.meshes}"
        " --workers {threads} --output {params.folder} > {log} 2>&1"


rule train_clip:
    """The mini CLIP: pictures and sentences in one space."""
    input:
        settings="results/train/settings/clip.json",
        corpus=rules.corpus.output.record,
        own=rules.judge_corpus.output.record,
    output:
        sums="results/train/clip/SHA256SUMS",
        training="results/train/clip/training.json",
    log:
        "results/train/logs/train_clip.log",
    benchmark:
        "results/train/benchmarks/train_clip.tsv"
    threads: 1
    resources:
        mem="3GB",
        runtime=sitting_minutes("clip") + 15,
        sitting=sitting_minutes("clip"),
    params:
        folder=subpath(output.sums, parent=True),
        corpus=subpath(input.corpus, parent=True),
        own=subpath(input.own, parent=True),
        checkpoints="results/checkpoints/train_clip",
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.train_clip --settings {input.settings} --corpus {params.corpus}"
        " --judge-corpus {params.own} --minutes {resources.sitting} --checkpoints {params.checkpoints}"
        " --output {params.folder} > {log} 2>&1"


rule measure_clip:
    """The yardstick of the judge: its names on held-out renders, with grey objects as the control."""
    input:
        sums=rules.train_clip.output.sums,
        pictures=rules.held_out.output.record,
    output:
        yardstick="results/train/clip/yardstick.json",
    log:
        "results/train/logs/measure_clip.log",
    benchmark:
        "results/train/benchmarks/measure_clip.tsv"
    threads: 1
    resources:
        mem="3GB",
    params:
        folder=subpath(input.sums, parent=True),
        pictures=subpath(input.pictures, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_clip --clip {params.folder}"
        " --held-out {params.pictures} --output {output.yardstick} > {log} 2>&1"


rule measure_samples:
    """The yardstick of one size of stage I: what the judge calls the pictures that it draws."""
    input:
        sums="results/train/{base}/SHA256SUMS",
        clip=rules.train_clip.output.sums,
        judged=rules.measure_clip.output.yardstick,
    output:
        yardstick="results/train/{base}/yardstick.json",
        sheet="results/train/{base}/samples.png",
    log:
        "results/train/logs/measure_samples/{base}.log",
    benchmark:
        "results/train/benchmarks/measure_samples/{base}.tsv"
    wildcard_constraints:
        base="if_m|if_xl",
    threads: 1
    resources:
        mem="2GB",
    params:
        folder=subpath(input.sums, parent=True),
        clip=subpath(input.clip, parent=True),
        steps=25,
    shell:
        "OMP_NUM_THREADS={threads} python -m castex.cli.measure_samples --model {params.folder} --clip {params.clip}"
        " --settings '{{\"steps\": {params.steps}}}' --output {output.yardstick} --sheet {output.sheet} > {log} 2>&1"
