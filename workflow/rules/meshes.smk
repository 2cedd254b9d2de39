# The mini meshes: made by code, nothing random. No part of `all`: ask for `make_meshes`. Nothing here writes
# under data/; `make ship-models` copies.
MINI_MESHES = [
    "vase",
    "mug",
    "bowl",
    "bottle",
    "teapot",
    "barrel",
    "chair",
    "table",
    "lamp",
    "house",
    "mushroom",
    "robot",
    "duck",
    "rocket",
    "boat",
    "car",
]


rule make_meshes:
    """Every mini mesh as a GLB with normals and an atlas, and their checksums."""
    output:
        meshes=expand("results/train/meshes/{name}.glb", name=MINI_MESHES),
        sums="results/train/meshes/SHA256SUMS",
    log:
        "results/train/logs/make_meshes.log",
    benchmark:
        "results/train/benchmarks/make_meshes.tsv"
    resources:
        mem="600MB",
    params:
        folder=subpath(output.sums, parent=True),
    shell:
        "python -m castex.cli.make_meshes --output {params.folder} > {log} 2>&1"
