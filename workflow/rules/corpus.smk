# The training pictures of the mini models, rendered by this package. No part of `all`. The folders also hold
# shards/ and lights/, which stay where they are when a run is interrupted.


rule corpus:
    """Every corpus mesh in every material and colour, from the distribution that synthesis uses."""
    input:
        settings=rules.resolve_corpus.output.settings,
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
        settings=rules.resolve_corpus.output.settings,
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
