# The training pictures of the mini models, rendered by this package. No part of `all`. The folders also hold
# shards/ and lights/, which stay where they are when a run is interrupted.


rule corpus:
    """Every corpus mesh in every material and colour, from the distribution that synthesis uses."""
    input:
        settings="results/train/settings/corpus.json",
        meshes=[f"data/mini/meshes/{name}.glb" for name in meshes_of("corpus")],
    output:
        record="results/train/corpus/corpus.json",
    log:
        "results/train/logs/corpus.log",
    benchmark:
        "results/train/benchmarks/corpus.tsv"
    threads: 2
    resources:
        mem="2500MB",
    params:
        folder=subpath(output.record, parent=True),
    shell:
        "OMP_NUM_THREADS=1 python -m castex.cli.corpus --settings {input.settings} --meshes {input.meshes}"
        " --workers {threads} --output {params.folder} > {log} 2>&1"


rule held_out:
    """The pictures of the yardsticks: meshes, lights and pairs that the corpus never holds, and grey objects."""
    input:
        settings="results/train/settings/corpus.json",
        meshes=[f"data/mini/meshes/{name}.glb" for name in meshes_of("held-out")],
    output:
        record="results/train/held_out/corpus.json",
    log:
        "results/train/logs/held_out.log",
    benchmark:
        "results/train/benchmarks/held_out.tsv"
    threads: 2
    resources:
        mem="2500MB",
    params:
        folder=subpath(output.record, parent=True),
    shell:
        "OMP_NUM_THREADS=1 python -m castex.cli.corpus --held-out --settings {input.settings} --meshes {input.meshes}"
        " --workers {threads} --output {params.folder} > {log} 2>&1"


rule measure_corpus:
    """Training pictures per second on two cores, against the budget; no part of `all`."""
    input:
        settings="results/train/settings/corpus.json",
        meshes=["data/mini/meshes/vase.glb", "data/mini/meshes/car.glb"],
        budgets="data/corpus_budgets.yaml",
    output:
        record="results/train/speed/corpus.json",
        table="results/train/speed/corpus.csv",
    log:
        "results/train/logs/measure_corpus.log",
    benchmark:
        "results/train/benchmarks/measure_corpus.tsv"
    threads: 2
    resources:
        mem="2500MB",
    shell:
        "OMP_NUM_THREADS=1 python -m castex.cli.measure_corpus --settings {input.settings} --meshes {input.meshes}"
        " --workers {threads} --budgets {input.budgets} --output {output.record} --table {output.table} > {log} 2>&1"
