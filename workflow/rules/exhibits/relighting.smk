rule relighting:
    """The four maps of a few dressed assets, and what three lights make of them."""
    input:
        results=expand(rules.relight.output.result, dress=settings.relighting.dresses),
        pictures=expand(rules.relight.output.pictures, dress=settings.relighting.dresses),
        reports=unique(prepared_report(dress) for dress in settings.relighting.dresses),
        code=["figures/relighting.py", "src/castex/tally.py"],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/relighting.pdf",
        png=report(
            "<results>/figures/relighting.png",
            caption="../../report/relighting.rst",
            category="Figures",
            labels={"exhibit": "relighting", "paper item": "material maps, relighting"},
        ),
        csv="<results>/figures/relighting.csv",
    log:
        "<logs>/relighting.log",
    benchmark:
        "<benchmarks>/relighting.tsv"
    localrule: True
    resources:
        mem="700MB",
    params:
        lights=settings.relighting.lights,
        scale=settings.scale,
        dresses={name: settings.dresses[name].model_dump(mode="json") for name in settings.relighting.dresses},
    script:
        "../../../figures/relighting.py"
