rule samples:
    """What each model draws from the same prompts, and how often the judge reads the prompt back."""
    input:
        results=expand(rules.draw_samples.output.result, model=settings.samples.models),
        pictures=expand(rules.draw_samples.output.pictures, model=settings.samples.models),
        code=["figures/samples.py", "src/castex/tally.py"],
        save="figures/_save.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/samples.pdf",
        png=report(
            "<results>/figures/samples.png",
            caption="../../report/samples.rst",
            category="Models",
            labels={"exhibit": "samples", "paper item": "none: what the models know"},
        ),
        csv="<results>/figures/samples.csv",
    log:
        "<logs>/samples.log",
    benchmark:
        "<benchmarks>/samples.tsv"
    localrule: True
    resources:
        mem="500MB",
    params:
        columns=settings.samples.columns,
        sample=settings.samples.sample.model_dump(mode="json"),
        models=list(settings.samples.models),
    script:
        "../../../figures/samples.py"
