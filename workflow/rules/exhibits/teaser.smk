rule teaser:
    """One mesh in six prompts, six meshes in one."""
    input:
        photographs=textures_of("teaser", rules.photograph.output.picture),
        recognised=textures_of("teaser", rules.recognise.output.result),
        code=[
            "figures/teaser.py",
            "figures/_gallery.py",
            "src/castex/tally.py",
            "src/castex/tally_textures.py",
        ],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/teaser.pdf",
        png=report(
            "<results>/figures/teaser.png",
            caption="../../report/teaser.rst",
            category="Figures",
            labels={"exhibit": "teaser", "paper item": "teaser"},
        ),
        csv="<results>/figures/teaser.csv",
    log:
        "<logs>/teaser.log",
    benchmark:
        "<benchmarks>/teaser.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/teaser.py"
