# CasTex, reproduced: the table of contents. Stages are in workflow/rules, one figure or table each in
# workflow/rules/exhibits. `snakemake --list-target-rules` prints what can be asked for by name.
from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/config.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/resolve.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/light.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/picture.smk"
include: "workflow/rules/reconstruct.smk"
include: "workflow/rules/recover.smk"
include: "workflow/rules/synthesise.smk"
include: "workflow/rules/meshes.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/train_cascade.smk"
include: "workflow/rules/train_latent.smk"
include: "workflow/rules/train_clip.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/exhibits/toy_reconstruction.smk"
include: "workflow/rules/exhibits/toy_sensitivity.smk"
include: "workflow/rules/exhibits/relighting.smk"
include: "workflow/rules/exhibits/texture_toy.smk"
include: "workflow/rules/exhibits/sr_anchoring.smk"
include: "workflow/rules/exhibits/anchoring_map.smk"
include: "workflow/rules/exhibits/pipeline.smk"
include: "workflow/rules/exhibits/recognition.smk"
include: "workflow/rules/exhibits/teaser.smk"
include: "workflow/rules/exhibits/ablations.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/exhibits/samples.smk"
include: "workflow/rules/exhibits/cost.smk"
include: "workflow/rules/exhibits/claims.smk"
include: "workflow/rules/exhibits/ledger.smk"


rule all:
    """Every figure and table, and the verdicts on the paper's claims."""
    default_target: True
    input:
        rules.toy_reconstruction.output,
        rules.toy_sensitivity.output,
        rules.relighting.output,
        rules.texture_toy.output,
        rules.teaser.output,
        rules.ablations.output,
        rules.samples.output,
        rules.cost.output,
        rules.claims.output,
        rules.ledger.output,
    localrule: True
