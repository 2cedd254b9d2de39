rule anchoring_map:
    """Where anchoring matters: the ratio of drifts by noise level and guidance scale."""
    input:
        drifts=textures_of("anchoring_map", rules.drift.output.drift),
        results=textures_of("anchoring_map", rules.synthesise.output.result),
        code=["figures/anchoring_map.py", "src/castex/tally.py", "src/castex/tally_textures.py"],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/anchoring_map.pdf",
        png=report(
            "<results>/figures/anchoring_map.png",
            caption="../../report/anchoring_map.rst",
            category="Figures",
            labels={"exhibit": "anchoring_map", "paper item": "Fig. 3, where it matters"},
        ),
        csv="<results>/figures/anchoring_map.csv",
    log:
        "<logs>/anchoring_map.log",
    benchmark:
        "<benchmarks>/anchoring_map.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/anchoring_map.py"
