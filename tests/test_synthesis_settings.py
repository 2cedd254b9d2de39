"""The settings of synthesis: the paper's numbers are the defaults, and what makes no sense is refused."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from castex.config import load_config, validated
from castex.errors import InputError
from castex.settings import synthesis
from castex.settings.synthesis import (
    METHODS,
    AdamSettings,
    CascadeSettings,
    DistilSettings,
    ParameterSettings,
    StageSettings,
    VariantSettings,
    WindowSettings,
    cascade_of,
)


def cascade(scale, method="castex-xl-l"):
    config = load_config(scale)
    return cascade_of(config.variants, method, keep_uv=config.assets.prepare.keep_uv)


def test_the_paper_scale_is_the_published_method():
    """Stage I and II of paper.md 1.4."""
    both = cascade("paper")
    assert (both.base_model, both.upsampler_model, both.light) == ("if_xl", "if_ii", "kloofendal")
    assert not both.keep_uv
    for stage, steps, scale in ((both.base, 500, 15.0), (both.upsampler, 1000, 10.0)):
        adam, distil, texture = stage.adam, stage.distil, stage.texture
        assert (adam.steps, distil.guidance_scale) == (steps, scale)
        assert (adam.learning_rate, adam.decay, adam.decay_every) == (0.01, 0.9, 100)
        window = distil.window
        assert (window.highest_first, window.highest_last) == (980, 500)
        assert (window.lowest_first, window.lowest_last, window.form) == (300, 200, "sqrt")
        assert (distil.form, distil.weight, distil.noise) == ("x0-clamped", "released", "fresh")
        assert (stage.shot.views, stage.render_size, texture.size, texture.kind) == (8, 512, 1024, "explicit")
        assert texture.learned == ("albedo", "roughness", "metallic", "normal") and texture.smoothness == 0
    low = both.upsampler.upsampling
    assert (low.source, low.low_resolution.form) == ("anchored", "nearest")
    assert (low.low_resolution.level, low.low_resolution.base_size) == (500, 64)
    assert (both.base.texture.initial, both.upsampler.texture.initial) == ("grey", "given")


@pytest.mark.parametrize("scale", ["mini", "paper"])
@pytest.mark.parametrize("method", METHODS)
def test_methods_survive_json_and_differ_as_named(scale, method):
    settings = cascade(scale, method)
    assert CascadeSettings.model_validate_json(settings.model_dump_json()) == settings
    assert (settings.upsampler is not None) == method.endswith("-l")
    assert settings.base_model == ("if_m" if method.startswith("castex-m") else "if_xl")
    other = cascade(scale, "castex-m" if method.startswith("castex-xl") else "castex-xl")
    assert settings.base == other.base, "the sizes of stage I differ in the model alone"


def test_a_method_that_is_not_there_is_named():
    variants = {name: {"model": "if_m", "light": "sky"} for name in METHODS[:-1]}
    raw = load_config().model_dump(mode="json")
    with pytest.raises(InputError, match="variants lacks the method 'castex-xl-l'"):
        validated(raw | {"variants": variants})
    for change, kind in (
        ({"light": "moon"}, "light 'moon'"),
        ({"after": "castex"}, "variant 'castex'"),
        ({"model": "if_xxl"}, "model 'if_xxl'"),
    ):
        broken = raw["variants"]["castex-xl-l"] | change
        with pytest.raises(InputError, match=f"variant castex-xl-l names the unknown {kind}"):
            validated(raw | {"variants": raw["variants"] | {"castex-xl-l": broken}})
    drawn = raw["samples"] | {"models": raw["samples"]["models"] | {"if_iii": {"stage": "base"}}}
    with pytest.raises(InputError, match="samples names the unknown model 'if_iii'"):
        validated(raw | {"samples": drawn})


def test_the_mini_scale_reduces_to_the_mini_base_model():
    both = cascade("mini")
    assert both.upsampler.upsampling.low_resolution.base_size == 32
    assert both.base.execution.device == "cpu"


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (WindowSettings, {"lowest_first": 980}, "window of timesteps from 980 to 980 is empty"),
        (WindowSettings, {"highest_last": 100}, "from 200 to 100 is empty"),
        (StageSettings, {"kind": "latent"}, "cannot be clamped"),
        (StageSettings, {"kind": "upsampler"}, "use initial: given"),
        (ParameterSettings, {"kind": "dip", "initial": "random"}, "is for explicit maps"),
        (ParameterSettings, {"kind": "dip", "size": 32}, "at least 64 texels"),
        (ParameterSettings, {"learned": []}, "at least 1"),
        (ParameterSettings, {"learned": ["diffuse"]}, "albedo"),
        (ParameterSettings, {"hash_grid": {"finest": 8}}, "coarser than the coarsest"),
        (AdamSettings, {"steps": 0}, "greater than or equal to 1"),
        (AdamSettings, {"steps": 5, "snapshots": [2, 6]}, "a snapshot after step 6 of 5"),
        (VariantSettings, {"model": "if_m", "light": "sky", "after": "b"}, "needs texture.initial: given"),
        (DistilSettings, {"cfg": 7}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(kind, values, message):
    with pytest.raises(ValidationError, match=message):
        kind.model_validate(values)


def test_every_setting_is_described():
    classes = [c for c in vars(synthesis).values() if isinstance(c, type) and issubclass(c, BaseModel)]
    own = [c for c in classes if c.__module__ == synthesis.__name__]
    assert len(own) >= 10
    for settings in own:
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name}"
