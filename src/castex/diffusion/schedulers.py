"""What a scheduler's configuration says: noise schedule, what is predicted, how samples are bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from castex.errors import WeightsError
from castex.schedule import NoiseSchedule, scaled_linear, squared_cosine
from castex.settings.models import ThresholdSettings
from castex.weights import ModelFolder, check_alone, read_config

FILE = "scheduler_config.json"
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
        raise _unknown(folder, name, "prediction_type", prediction)
    if config.get("rescale_betas_zero_snr") or config.get("trained_betas") is not None:
        raise _unknown(folder, name, "rescale_betas_zero_snr or trained_betas", "set")
    return Process(_schedule(folder, name, config), prediction, _threshold(config))


def _schedule(folder: ModelFolder, name: str, config: dict[str, Any]) -> NoiseSchedule:
    timesteps = int(config.get("num_train_timesteps", 1000))
    match config.get("beta_schedule"):
        case "squaredcos_cap_v2":
            return squared_cosine(timesteps)
        case "scaled_linear":
            return scaled_linear(timesteps, float(config["beta_start"]), float(config["beta_end"]))
        case other:
            raise _unknown(folder, name, "beta_schedule", other)


def _threshold(config: dict[str, Any]) -> ThresholdSettings:
    if config.get("thresholding"):
        return ThresholdSettings(
            kind="dynamic",
            ratio=config.get("dynamic_thresholding_ratio", 0.995),
            largest=config.get("sample_max_value", 1.0),
        )
    return ThresholdSettings(kind="clip" if config.get("clip_sample", True) else "none")


def _unknown(folder: ModelFolder, name: str, key: str, value: object) -> WeightsError:
    return WeightsError(
        f"{folder.path / name} says {key}={value!r}, which this package does not know; "
        "check that it is the right model"
    )
