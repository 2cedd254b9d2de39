rule ledger:
    """What the exhibits cost: core-seconds and memory per job, against the budgets."""
    input:
        benchmarks=unique(
            sweep_files("toy_reconstruction", rules.reconstruct.benchmark)
            + sweep_files("toy_sensitivity", rules.reconstruct.benchmark)
            + expand(rules.picture.benchmark, picture=settings.pictures)
            + expand(rules.fetch.benchmark, model=models_at_hand())
            + expand(rules.prefilter.benchmark, light=settings.relighting.lights)
            + [job for dress in settings.relighting.dresses for job in benchmarks_of_dress(dress)]
            + expand(rules.relight.benchmark, dress=settings.relighting.dresses)
            + [job for dress in settings.recovery().dresses for job in benchmarks_of_dress(dress)]
            + recovered_files(rules.recover.benchmark)
            + expand(rules.draw_samples.benchmark, model=settings.samples.models)
            + embedding_benchmarks(settings.samples)
            + [job for name in TEXTURED for job in synthesised(name, rules.synthesise.benchmark)]
            + [
                job
                for name in ("teaser", "ablations")
                for job in textures_of(name, rules.photograph.benchmark)
            ]
            + [
                job
                for name in ("teaser", "ablations")
                for job in textures_of(name, rules.recognise.benchmark)
            ]
            + textures_of("ablations", rules.appraise.benchmark)
            + [
                rules.teaser.benchmark,
                rules.ablations.benchmark,
                rules.toy_reconstruction.benchmark,
                rules.toy_sensitivity.benchmark,
                rules.relighting.benchmark,
                rules.texture_toy.benchmark,
                rules.measure_cost.benchmark,
                rules.samples.benchmark,
                rules.cost.benchmark,
            ]
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
