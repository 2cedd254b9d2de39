rule recognition:
    """Twelve prompts on meshes that no model has learnt from, and what the judge calls each texture."""
    input:
        photographs=textures_of("recognition", rules.photograph.output.picture),
        recognised=textures_of("recognition", rules.recognise.output.result),
        code=[
            "figures/recognition.py",
            "figures/_gallery.py",
            "src/castex/tally.py",
            "src/castex/tally_textures.py",
        ],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/recognition.pdf",
        png=report(
            "<results>/figures/recognition.png",
            caption="../../report/recognition.rst",
            category="Figures",
            labels={"exhibit": "recognition", "paper item": "none: the yardstick of the method"},
        ),
        csv="<results>/figures/recognition.csv",
    log:
        "<logs>/recognition.log",
    benchmark:
        "<benchmarks>/recognition.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/recognition.py"
