rule toy_reconstruction:
    input:
        results=sweep_results("toy_reconstruction"),
        traces=sweep_files("toy_reconstruction", "trace.csv"),
        pictures=sweep_files("toy_reconstruction", "pictures.safetensors"),
        reported="data/reported.csv",
        code="figures/toy_reconstruction.py",
        save="figures/_save.py",
        methods="figures/_methods.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/toy_reconstruction.pdf",
        png=report(
            "<results>/figures/toy_reconstruction.png",
            caption="../../report/toy_reconstruction.rst",
            category="Figures",
            labels={"exhibit": "toy_reconstruction", "paper item": "Fig. 2"},
        ),
        csv="<results>/figures/toy_reconstruction.csv",
    log:
        "<logs>/toy_reconstruction.log",
    benchmark:
        "<benchmarks>/toy_reconstruction.tsv"
    """Figure 2: six reconstructions from point-mass scores, their PSNRs, and how they converge."""
    localrule: True
    resources:
        mem="500MB",
    params:
        scale=settings.scale,
        size=settings.reconstruct["pixel-explicit"].size,
    script:
        "../../../figures/toy_reconstruction.py"
