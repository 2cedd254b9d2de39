rule toy_sensitivity:
    """Figure 2 on three photographs: does the ordering depend on the picture or the seed?"""
    input:
        results=sweep_files("toy_sensitivity", rules.reconstruct.output.result),
        code=["figures/toy_sensitivity.py", "src/castex/tally.py"],
        save="figures/_save.py",
        methods="figures/_methods.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/toy_sensitivity.pdf",
        png=report(
            "<results>/figures/toy_sensitivity.png",
            caption="../../report/toy_sensitivity.rst",
            category="Figures",
            labels={"exhibit": "toy_sensitivity", "paper item": "Fig. 2, extended"},
        ),
        csv="<results>/figures/toy_sensitivity.csv",
    log:
        "<logs>/toy_sensitivity.log",
    benchmark:
        "<benchmarks>/toy_sensitivity.tsv"
    localrule: True
    resources:
        mem="500MB",
    params:
        pictures=len(settings.sweep("toy_sensitivity").pictures),
        seeds=len(settings.sweep("toy_sensitivity").seeds),
    script:
        "../../../figures/toy_sensitivity.py"
