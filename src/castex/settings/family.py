"""The mini family: what each of its models is and how long it learns, by the name of its folder."""

from __future__ import annotations

from castex.settings.base import Settings
from castex.settings.training import (
    CascadeShape,
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

    t5: TrainingSettings = TrainingSettings(
        steps=600, batch=128, learning_rate=2e-3, ema_decay=0.99, checkpoint_every=300
    )
    """The text encoder of the cascade, on sentences alone."""
    if_m: TrainBaseSettings = TrainBaseSettings(
        shape=CascadeShape(channels=(24, 48, 72), layers=(1, 2, 2), attention=(False, False, True), head=24),
        training=TrainingSettings(steps=2400, ema_decay=0.995, checkpoint_every=100),
    )
    """The small stage I."""
    if_xl: TrainBaseSettings = TrainBaseSettings(
        shape=CascadeShape(channels=(32, 64, 96), layers=(1, 2, 2), attention=(False, False, True)),
        training=TrainingSettings(steps=3000, ema_decay=0.995, checkpoint_every=100),
    )
    """The larger stage I."""
    if_ii: TrainUpsamplerSettings = TrainUpsamplerSettings(
        shape=CascadeShape(
            channels=(16, 32, 64, 64), layers=(1, 1, 1, 1), attention=(False, False, False, True), head=16
        ),
        training=TrainingSettings(steps=2000, batch=16, ema_decay=0.995, checkpoint_every=100),
    )
    """Stage II."""
    sd_vae: TrainSdVaeSettings = TrainSdVaeSettings()
    """The autoencoder of the mini Stable Diffusion, continued from that of Figure 2."""
    sd: TrainSdSettings = TrainSdSettings()
    """Its UNet and text encoder."""
    controlnet_depth: TrainControlnetSettings = TrainControlnetSettings()
    """Its depth ControlNet."""
    clip: TrainClipSettings = TrainClipSettings()
    """The judge."""
