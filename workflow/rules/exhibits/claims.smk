# The claims page, whole and per exhibit. `claims` needs every exhibit; `claims_<exhibit>` is the part that
# one exhibit can decide, so a reader who ran one figure can have its verdicts.


rule claims_toy_reconstruction:
    """The verdicts that Figure 2 alone can decide."""
    input:
        exhibits=rules.toy_reconstruction.output.csv,
        ledger="data/claims.yaml",
        reported="data/reported.csv",
        code=["figures/claims.py", "src/castex/claims.py"],
    output:
        csv="<results>/figures/claims_toy_reconstruction.csv",
        html="<results>/figures/claims_toy_reconstruction.html",
    log:
        "<logs>/claims_toy_reconstruction.log",
    benchmark:
        "<benchmarks>/claims_toy_reconstruction.tsv"
    localrule: True
    resources:
        mem="500MB",
    params:
        scale=settings.scale,
        replicates=settings.replicates,
        whole=False,
    script:
        "../../../figures/claims.py"


rule claims:
    """Every claim and every published number: reported, ours, PASS, FAIL or NOT RUN, and why."""
    input:
        exhibits=[
            rules.toy_reconstruction.output.csv,
            rules.toy_sensitivity.output.csv,
            rules.relighting.output.csv,
            rules.cost.output.csv,
            rules.texture_toy.output.csv,
            rules.teaser.output.csv,
            rules.ablations.output.csv,
            rules.samples.output.csv,
        ],
        ledger="data/claims.yaml",
        reported="data/reported.csv",
        code=["figures/claims.py", "src/castex/claims.py"],
    output:
        csv="<results>/figures/claims.csv",
        html=report(
            "<results>/figures/claims.html",
            caption="../../report/claims.rst",
            category="Claims",
            labels={"exhibit": "claims", "paper item": "all"},
        ),
    log:
        "<logs>/claims.log",
    benchmark:
        "<benchmarks>/claims.tsv"
    localrule: True
    resources:
        mem="500MB",
    params:
        scale=settings.scale,
        replicates=settings.replicates,
        whole=True,
    script:
        "../../../figures/claims.py"
