rule texture_toy:
    """Figure 2 on a mesh: what a perfect score recovers of known texture maps."""
    input:
        results=recovered_files(rules.recover.output.result),
        pictures=recovered_files(rules.recover.output.pictures),
        code=["figures/texture_toy.py", "src/castex/tally.py"],
        save="figures/_save.py",
        methods="figures/_methods.py",
        style="figures/castex.mplstyle",
    output:
        pdf="<results>/figures/texture_toy.pdf",
        png=report(
            "<results>/figures/texture_toy.png",
            caption="../../report/texture_toy.rst",
            category="Figures",
            labels={"exhibit": "texture_toy", "paper item": "Fig. 2, on a mesh"},
        ),
        csv="<results>/figures/texture_toy.csv",
    log:
        "<logs>/texture_toy.log",
    benchmark:
        "<benchmarks>/texture_toy.tsv"
    localrule: True
    resources:
        mem="500MB",
    script:
        "../../../figures/texture_toy.py"
