rule ablations:
    """What each choice of the method is worth, in pictures and in numbers."""
    input:
        photographs=textures_of("ablations", rules.photograph.output.picture),
        recognised=textures_of("ablations", rules.recognise.output.result),
        appraised=textures_of("ablations", rules.appraise.output.result),
        code=["figures/ablations.py", "src/castex/tally.py", "src/castex/tally_textures.py"],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/ablations.pdf",
        png=report(
            "<results>/figures/ablations.png",
            caption="../../report/ablations.rst",
            category="Figures",
            labels={"exhibit": "ablations", "paper item": "ablations (the paper's own are unknown)"},
        ),
        csv="<results>/figures/ablations.csv",
    log:
        "<logs>/ablations.log",
    benchmark:
        "<benchmarks>/ablations.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/ablations.py"
