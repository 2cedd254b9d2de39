"""What a scheduler's configuration says: noise schedule, what is predicted, how samples are bounded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from castex.errors import WeightsError
from castex.schedule import NoiseSchedule, scaled_linear, squared_cosine
from castex.settings.models import ThresholdSettings
from castex.weights import ModelFolder, check_alone, read_config

FILE = "scheduler_config.json"
MOST_TIMESTEPS = 1e5
Prediction = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True, slots=True)
class Process:
    """The diffusion process that a network was trained on."""

    schedule: NoiseSchedule
    prediction: Prediction
    threshold: ThresholdSettings
    """How the model's own sampler bounds x0_hat; score distillation has a setting of its own."""


def read_process(folder: ModelFolder, subfolder: str = "scheduler") -> Process:
    """The process of a model folder; WeightsError for one that this package does not know."""
    check_alone(folder, subfolder)
    name = f"{subfolder}/{FILE}"
    config = read_config(folder, name)
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise _unknown(folder.path / name, "prediction_type", prediction)
    if config.get("rescale_betas_zero_snr") or config.get("trained_betas") is not None:
        raise _unknown(folder.path / name, "rescale_betas_zero_snr or trained_betas", "set")
    source = _Source(folder.path / name, config)
    return Process(_schedule(source), prediction, _threshold(source))


@dataclass(frozen=True, slots=True)
class _Source:
    """A configuration and the file that it stands in."""

    path: Path
    config: dict[str, Any]

    def number(self, key: str, default: float | None, lowest: float, highest: float) -> float:
        """A number in [lowest, highest]; WeightsError for anything else."""
        value = self.config.get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # A comparison with NaN is false, so NaN is refused too.
        if not number or value is None or not lowest <= value <= highest:
            raise WeightsError(
                f"{self.path} says {key}={value!r} where a number from {lowest:g} to {highest:g} is needed; "
                "fetch the model again"
            )
        return float(value)


def _schedule(source: _Source) -> NoiseSchedule:
    timesteps = source.number("num_train_timesteps", 1000.0, 1.0, MOST_TIMESTEPS)
    if not timesteps.is_integer():
        raise _unknown(source.path, "num_train_timesteps", timesteps)
    match source.config.get("beta_schedule"):
        case "squaredcos_cap_v2":
            return squared_cosine(int(timesteps))
        case "scaled_linear":
            # Below the smallest beta, alpha_bar would be 1 in the first step: no noise, and a division by 0.
            betas = [source.number(key, None, 1e-9, 0.999) for key in ("beta_start", "beta_end")]
            return scaled_linear(int(timesteps), *betas)
        case other:
            raise _unknown(source.path, "beta_schedule", other)


def _threshold(source: _Source) -> ThresholdSettings:
    if source.config.get("thresholding"):
        return ThresholdSettings(
            kind="dynamic",
            ratio=source.number("dynamic_thresholding_ratio", 0.995, 1e-3, 1 - 1e-6),
            largest=source.number("sample_max_value", 1.0, 1.0, 1e3),
        )
    return ThresholdSettings(kind="clip" if source.config.get("clip_sample", True) else "none")


def _unknown(path: Path, key: str, value: object) -> WeightsError:
    return WeightsError(
        f"{path} says {key}={value!r}, which this package does not know; check that it is the right model"
    )
