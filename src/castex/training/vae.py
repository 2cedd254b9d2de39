"""Train the mini autoencoder: the latent half of Figure 2 without Stable Diffusion's weights.

The loss is the mean squared error in [-1, 1] plus a small Kullback-Leibler term, as in a latent diffusion
autoencoder without its perceptual and adversarial parts (neither has weights here).
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from castex.checkpoint import Checkpoint, load, optimiser_tensors, restore_optimiser, save
from castex.diffusion import WEIGHTS_FILE
from castex.files import fingerprint, write_json, write_tensors, write_text
from castex.progress import Progress
from castex.settings import AutoencoderSettings, TrainVaeSettings
from castex.training.pictures import HELD_OUT, PHOTOGRAPHS, PictureSource
from castex.training.precision import autocast
from castex.training.warm_start import warm_start_
from castex.weights import write_sums


def new_autoencoder(settings: AutoencoderSettings) -> AutoencoderKL:
    """An untrained `AutoencoderKL`; its weights come from the global generator, so seed around the call.

    The attention in the middle is left out: at 16 x 16 it costs time and gained nothing measurable.
    """
    return AutoencoderKL(
        block_out_channels=settings.block_out_channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=settings.layers_per_block,
        latent_channels=settings.latent_channels,
        norm_num_groups=settings.norm_num_groups,
        mid_block_add_attention=False,
        sample_size=128,
    )


@dataclass
class Training:
    """The state of one training run: weights, their moving average, moments, step and loss curve."""

    settings: TrainVaeSettings
    model: AutoencoderKL = field(init=False)
    average: AutoencoderKL = field(init=False)
    optimiser: torch.optim.AdamW = field(init=False)
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        # diffusers initialises from the global generator; fork_rng keeps the seed from leaking out.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.model = new_autoencoder(self.settings.autoencoder)
            self.average = new_autoencoder(self.settings.autoencoder)
        warm_start_(self.model)
        self.model.to(memory_format=torch.channels_last)
        self.average.load_state_dict(self.model.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=self.settings.learning_rate, weight_decay=1e-3, fused=True
        )

    def run(
        self, source: PictureSource, checkpoints: Path, clock: Callable[[], float] = time.monotonic
    ) -> bool:
        """Train to the last step (True) or until the sitting's budget is spent (False), saving on the way."""
        settings, start, before = self.settings, clock(), self.seconds
        progress = Progress("train_vae", settings.steps, first=self.step)
        while self.step < settings.steps:
            self.losses.append(self._step(source.batch(self.step, settings.batch)))
            self.step += 1
            self.seconds = before + clock() - start
            progress.update(self.step, f"mse {self.losses[-1]:.5f}")
            spent = clock() - start > 60 * settings.minutes
            if spent or self.step % settings.checkpoint_every == 0 or self.step == settings.steps:
                self.save(checkpoints)
            if spent and self.step < settings.steps:
                return False
        return True

    def _step(self, batch: Tensor) -> float:
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(self.step, settings.steps)
        x = (2 * batch - 1).to(memory_format=torch.channels_last)
        with autocast("cpu"):
            posterior = self.model.encode(x).latent_dist
            decoded = self.model.decode(posterior.mean).sample
        mse = (decoded.float() - x).square().mean()
        loss = mse + settings.kl_weight * posterior.kl().mean()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self._average()
        return float(mse.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # A short average at first, or the random start would linger for thousands of steps.
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)

    def save(self, checkpoints: Path) -> None:
        """Write the whole state into one of the two slots."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser)
        tensors |= {"losses": torch.tensor(self.losses), "seconds": torch.tensor(self.seconds)}
        save(checkpoints, Checkpoint(self.step, tensors), settings=run_fingerprint(self.settings))

    def resume(self, checkpoints: Path) -> bool:
        """Continue from the newest valid checkpoint; False when there is none."""
        found = load(checkpoints, settings=run_fingerprint(self.settings))
        if found is None:
            return False
        self.model.load_state_dict(_part(found.tensors, "model."))
        self.average.load_state_dict(_part(found.tensors, "average."))
        restore_optimiser(self.optimiser, found.tensors)
        self.step, self.losses = found.step, found.tensors["losses"].tolist()
        self.seconds = float(found.tensors["seconds"])
        return True

    def export(self, source: PictureSource, folder: Path) -> None:
        """Write the averaged weights as a diffusers model in half precision, with the loss curve.

        The scaling factor is one over the standard deviation of the codes of a fixed set of crops, as Stable
        Diffusion's was chosen.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            codes = self.average.encode(2 * source.batch(-1, 256) - 1).latent_dist.mean
        self.average.register_to_config(scaling_factor=round(1 / float(codes.std()), 5))
        # Half precision on disk: the loader widens it again, and the repository stays small.
        half = new_autoencoder(self.settings.autoencoder).half()
        half.load_state_dict(self.average.state_dict())
        half.register_to_config(scaling_factor=self.average.config["scaling_factor"])
        half.save_config(folder)
        write_tensors(folder / WEIGHTS_FILE, half.state_dict())
        rows = [f"{step},{loss!r}" for step, loss in enumerate(self.losses, start=1)]
        write_text(folder / "loss.csv", "\n".join(["step,mse", *rows]) + "\n")
        write_json(folder / "training.json", self._record())
        write_sums(folder, ["config.json", WEIGHTS_FILE])

    def _record(self) -> dict[str, object]:
        parameters = sum(p.numel() for p in self.model.parameters())
        return {
            "settings": self.settings.model_dump(mode="json"),
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "machine": f"CPU, {torch.get_num_threads()} thread(s), {platform.machine()}",
            "torch": torch.__version__,
            "parameters": parameters,
            "photographs": list(PHOTOGRAPHS),
            "held_out": list(HELD_OUT),
        }


def run_fingerprint(settings: TrainVaeSettings) -> str:
    """What a checkpoint belongs to: all settings but the budget of a sitting and the yardstick's size."""
    return fingerprint(settings.model_dump(mode="json", exclude={"minutes", "evaluation_size"}))


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear warm-up over 2 % of the steps, then a half cosine to zero."""
    warm = max(steps // 50, 1)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
