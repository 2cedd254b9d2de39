rule toy_reconstruction:
    """Figure 2: six reconstructions from point-mass scores, their PSNRs, and how they converge."""
    input:
        results=sweep_files("toy_reconstruction", rules.reconstruct.output.result),
        traces=sweep_files("toy_reconstruction", rules.reconstruct.output.trace),
        pictures=sweep_files("toy_reconstruction", rules.reconstruct.output.pictures),
        reported="data/reported.csv",
        code=["figures/toy_reconstruction.py", "src/castex/tally.py"],
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
    localrule: True
    resources:
        mem="500MB",
    params:
        scale=settings.scale,
        size=settings.reconstruct["pixel-explicit"].size,
    script:
        "../../../figures/toy_reconstruction.py"
