rule ledger:
    """What the toy exhibits cost: core-seconds and memory per job, against the budgets."""
    input:
        benchmarks=unique(
            sweep_files("toy_reconstruction", rules.reconstruct.benchmark)
            + sweep_files("toy_sensitivity", rules.reconstruct.benchmark)
            + expand(rules.picture.benchmark, picture=settings.pictures)
            + expand(rules.fetch.benchmark, model=settings.models)
            + [rules.toy_reconstruction.benchmark, rules.toy_sensitivity.benchmark]
        ),
        budgets="data/budgets.yaml",
        code="figures/ledger.py",
    output:
        csv=report(
            "<results>/figures/ledger.csv",
            caption="../../report/ledger.rst",
            category="Cost",
            labels={"exhibit": "ledger", "paper item": "-"},
        ),
    log:
        "<logs>/ledger.log",
    benchmark:
        "<benchmarks>/ledger.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/ledger.py"
