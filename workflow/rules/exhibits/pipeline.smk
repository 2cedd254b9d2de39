rule pipeline:
    """Figure 1: the real intermediate pictures of one step of each stage."""
    input:
        pictures=textures_of("pipeline", rules.dissect.output.pictures),
        results=textures_of("pipeline", rules.synthesise.output.result),
        code=["figures/pipeline.py", "src/castex/tally.py", "src/castex/tally_textures.py"],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/pipeline.pdf",
        png=report(
            "<results>/figures/pipeline.png",
            caption="../../report/pipeline.rst",
            category="Figures",
            labels={"exhibit": "pipeline", "paper item": "Fig. 1"},
        ),
        csv="<results>/figures/pipeline.csv",
    log:
        "<logs>/pipeline.log",
    benchmark:
        "<benchmarks>/pipeline.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/pipeline.py"
