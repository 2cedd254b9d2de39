"""The mini family: what each of its models is and how long it learns, by the name of its folder."""

from __future__ import annotations

from castex.settings.base import Settings
from castex.settings.training import (
    TrainBaseSettings,
    TrainClipSettings,
    TrainControlnetSettings,
    TrainingSettings,
    TrainSdSettings,
    TrainSdVaeSettings,
    TrainUpsamplerSettings,
)


class FamilySettings(Settings):
    """Training of the mini models (target `train_mini`, no part of `all`). The steps are for CPU cores."""

    t5: TrainingSettings
    """The text encoder of the cascade, on sentences alone."""
    if_m: TrainBaseSettings
    """The small stage I."""
    if_xl: TrainBaseSettings
    """The larger stage I."""
    if_ii: TrainUpsamplerSettings
    """Stage II."""
    sd_vae: TrainSdVaeSettings = TrainSdVaeSettings()
    """The autoencoder of the mini Stable Diffusion, continued from that of Figure 2."""
    sd: TrainSdSettings = TrainSdSettings()
    """Its UNet and text encoder."""
    controlnet_depth: TrainControlnetSettings = TrainControlnetSettings()
    """Its depth ControlNet."""
    clip: TrainClipSettings = TrainClipSettings()
    """The judge."""
