rule sr_anchoring:
    """Figure 3: upsampling with the stage-I render as the condition, and with the current one."""
    input:
        drifts=textures_of("sr_anchoring", rules.drift.output.drift),
        pictures=textures_of("sr_anchoring", rules.drift.output.pictures),
        recognised=textures_of("sr_anchoring", rules.recognise.output.result),
        theory=rules.anchoring_theory.output.result,
        code=["figures/sr_anchoring.py", "src/castex/tally.py", "src/castex/tally_textures.py"],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/sr_anchoring.pdf",
        png=report(
            "<results>/figures/sr_anchoring.png",
            caption="../../report/sr_anchoring.rst",
            category="Figures",
            labels={"exhibit": "sr_anchoring", "paper item": "Fig. 3"},
        ),
        csv="<results>/figures/sr_anchoring.csv",
    log:
        "<logs>/sr_anchoring.log",
    benchmark:
        "<benchmarks>/sr_anchoring.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/sr_anchoring.py"
