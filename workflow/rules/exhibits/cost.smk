rule cost:
    """Parameters, operations, bytes and milliseconds of each network; seconds per texture beside the published."""
    input:
        record=rules.measure_cost.output.record,
        published="data/cost_published.csv",
        reported="data/reported.csv",
        code=["figures/cost.py", "src/castex/tally.py"],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/cost.pdf",
        png=report(
            "<results>/figures/cost.png",
            caption="../../report/cost.rst",
            category="Cost",
            labels={"exhibit": "cost", "paper item": "sizes and seconds of the results table"},
        ),
        csv="<results>/figures/cost.csv",
    log:
        "<logs>/cost.log",
    benchmark:
        "<benchmarks>/cost.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/cost.py"
