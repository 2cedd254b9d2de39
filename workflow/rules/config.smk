# The mini scale, which every other scale overlays: shared settings, then one file per experiment.


configfile: "config/config.yaml"
configfile: "config/experiments/castex.yaml"
configfile: "config/experiments/relighting.yaml"
configfile: "config/experiments/samples.yaml"
configfile: "config/experiments/sr_anchoring.yaml"
configfile: "config/experiments/recognition.yaml"
configfile: "config/experiments/teaser.yaml"
configfile: "config/experiments/toy_reconstruction.yaml"
configfile: "config/experiments/toy_sensitivity.yaml"
configfile: "config/experiments/texture_toy.yaml"
configfile: "config/experiments/training.yaml"
configfile: "config/experiments/ablations.yaml"
configfile: "config/experiments/anchoring_map.yaml"
