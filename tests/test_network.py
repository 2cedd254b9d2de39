"""Loading a network: what fits goes through unchanged, what does not is one clear error."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny_models import TEXT_WIDTH, TOKENS, stable_scheduler, sums

from castex.diffusion import load_base, load_stable_diffusion, load_upsampler, resolved_precision
from castex.diffusion.network import from_files
from castex.errors import WeightsError
from castex.protocols import Condition
from castex.settings.models import ExecutionSettings
from castex.weights import Part

EXACT = ExecutionSettings(precision="float32")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def edited(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def sharded(folder):
    """The same network in two shards with an index."""
    weights = load_file(folder / WEIGHTS)
    names = sorted(weights)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, inside in halves.items():
        save_file({name: weights[name] for name in inside}, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: shard for shard, some in halves.items() for name in some}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    (folder / WEIGHTS).unlink()


@pytest.fixture
def asked(stream):
    x = torch.randn(2, 3, 32, 32, generator=stream)
    return x, Condition(text=torch.randn(2, TOKENS, TEXT_WIDTH, generator=stream))


def predicted(predictor, asked):
    x, condition = asked
    with torch.no_grad():
        return predictor(x, 400, condition)


def test_save_and_load_is_a_round_trip(tiny_models, asked):
    """Every bit of every weight, against the library's own loader."""
    theirs = UNet2DConditionModel.from_pretrained(tiny_models / "if_m" / "unet", low_cpu_mem_usage=False)
    network = load_base(tiny_models / "if_m", EXACT).network
    ours = network.module.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in theirs.state_dict().items())
    assert not any(p.requires_grad for p in network.module.parameters()) and not network.module.training
    assert network.parameters == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("fault", ["fewer", "more", "wider", None])
@pytest.mark.parametrize("present", [True, False])
def test_faults_are_found_with_accelerate_and_without(own_model, asked, monkeypatch, present, fault):
    """With it the library reads weights one by one into a network without values."""
    if present:
        pytest.importorskip("accelerate")
    seen, real = [], UNet2DConditionModel.from_pretrained

    def spy(*arguments, **how):
        seen.append(how["low_cpu_mem_usage"])
        return real(*arguments, **how)

    monkeypatch.setattr(UNet2DConditionModel, "from_pretrained", spy)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: (object() if present else None) if name == "accelerate" else find(name, *rest),
    )
    folder = own_model("if_m")
    if fault is None:
        assert predicted(load_base(folder, EXACT), asked).isfinite().all()
    else:
        FAULTS[fault][0](folder / "unet")
        with pytest.raises(WeightsError, match="cannot be loaded as a UNet2DConditionModel"):
            load_base(sums(folder), EXACT)
    assert seen == [present]


def test_a_weight_without_a_value_is_an_error(own_model):
    """The network's own last look, should a library report nothing."""

    class Forgetful(torch.nn.Linear):
        @classmethod
        def from_pretrained(cls, *_, **__):
            return cls(2, 2, device="meta"), {"missing_keys": [], "mismatched_keys": []}

    part = Part(own_model("if_m") / "unet", {}, None)
    with pytest.raises(WeightsError, match="cannot be loaded as a Forgetful: missing keys, weight"):
        from_files(Forgetful, part, surplus=True)


def test_shards_are_the_same_network(own_model, tiny_models, asked):
    folder = own_model("if_m")
    sharded(folder / "unet")
    whole, parts = load_base(tiny_models / "if_m", EXACT), load_base(sums(folder), EXACT)
    assert torch.equal(predicted(whole, asked), predicted(parts, asked))
    assert whole.network.identity != parts.network.identity


def test_a_half_precision_variant_is_found_and_widened(tiny_models):
    stable = load_stable_diffusion(tiny_models / "sd", EXACT)
    assert next(stable.network.module.parameters()).dtype == torch.float32
    assert (tiny_models / "sd" / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_changes_a_prediction_by_its_rounding_alone(tiny_models, asked, precision):
    exact = predicted(load_base(tiny_models / "if_m", EXACT), asked)
    reduced = load_base(tiny_models / "if_m", ExecutionSettings(precision=precision))
    found = predicted(reduced, asked)
    assert found.dtype == torch.float32 and reduced.network.precision == getattr(torch, precision)
    assert 0 < (found - exact).norm() / exact.norm() < (0.05 if precision == "bfloat16" else 0.01)


@pytest.mark.parametrize("changes", [{"channels_last": False}, {"attention": "plain"}])
def test_layout_and_attention_change_nothing_but_rounding(tiny_models, asked, changes):
    exact = predicted(load_base(tiny_models / "if_m", EXACT), asked)
    other = load_base(tiny_models / "if_m", EXACT.model_copy(update=changes))
    torch.testing.assert_close(predicted(other, asked), exact, atol=2e-5, rtol=1e-4)


def test_auto_is_float16_on_cuda_and_float32_on_a_cpu():
    assert resolved_precision(ExecutionSettings(device="cuda")) == torch.float16
    assert resolved_precision(ExecutionSettings()) == torch.float32
    assert resolved_precision(ExecutionSettings(device="cuda", precision="bfloat16")) == torch.bfloat16


def altered(unet):
    content = bytearray((unet / WEIGHTS).read_bytes())
    content[-3] ^= 1
    (unet / WEIGHTS).write_bytes(bytes(content))


def pickled(unet):
    (unet / WEIGHTS).rename(unet / "diffusion_pytorch_model.bin")


def without_shard(unet):
    sharded(unet)
    (unet / "b.safetensors").unlink()


def fewer(unet):
    """A file without one of the weights: the library would make it up."""
    weights = load_file(unet / WEIGHTS)
    del weights["conv_in.bias"]
    save_file(weights, unet / WEIGHTS, metadata={"format": "pt"})


def more(unet):
    weights = load_file(unet / WEIGHTS)
    save_file(weights | {"conv_more.weight": torch.zeros(1)}, unet / WEIGHTS, metadata={"format": "pt"})


def half_a_config(unet):
    (unet / "config.json").write_text('{"_class_name": ')


def promised(unet):
    """An index that names one weight more than its shard holds."""
    sharded(unet)
    weights = load_file(unet / "b.safetensors")
    del weights["conv_in.bias"]
    save_file(weights, unet / "b.safetensors", metadata={"format": "pt"})


FAULTS = {
    "promise": (promised, r"promises conv_in\.bias in b\.safetensors, which lacks it"),
    "pickle": (pickled, r"pickles above all\) are not read"),
    "shard": (without_shard, r"names the shard b\.safetensors, which is not in the folder's checksums"),
    "wider": (lambda unet: edited(unet / "config.json", block_out_channels=[16, 64]), "cannot be loaded as"),
    "fewer": (fewer, r"cannot be loaded as a UNet2DConditionModel: missing keys, conv_in\.bias"),
    "more": (more, r"cannot be loaded as a UNet2DConditionModel: unexpected keys, conv_more\.weight"),
    "class": (
        lambda unet: edited(unet / "config.json", _class_name="UNet2DModel"),
        "describes a UNet2DModel",
    ),
    "channels": (lambda unet: edited(unet / "config.json", in_channels=6), "says in_channels=6 where 3 is"),
    "json": (half_a_config, r"config\.json is no JSON"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_clear_error(own_model, fault):
    """Checksums written after the damage: what is left to find is the damage itself."""
    folder = own_model("if_m")
    damage, message = FAULTS[fault]
    damage(folder / "unet")
    with pytest.raises(WeightsError, match=message) as error:
        load_base(sums(folder), EXACT)
    assert "\n" not in str(error.value)


def test_an_altered_byte_is_named(own_model):
    folder = own_model("if_m")
    altered(folder / "unet")
    with pytest.raises(WeightsError, match=r"unet/diffusion_pytorch_model\.safetensors is altered"):
        load_base(folder, EXACT)


def test_a_shard_that_is_gone_is_named(own_model):
    folder = own_model("if_m")
    sharded(folder / "unet")
    sums(folder)
    (folder / "unet" / "a.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"a\.safetensors is missing"):
        load_base(folder, EXACT)


@pytest.mark.parametrize(
    ("part", "name"),
    [("unet", f"{WEIGHTS}.index.json"), ("unet", "extra.bin"), ("scheduler", "other.json")],
)
def test_what_nobody_checked_is_refused(own_model, part, name):
    folder = own_model("if_m")
    (folder / part / name).write_text("{}")
    with pytest.raises(WeightsError, match=rf"{re.escape(name)} is not listed in the folder's checksums"):
        load_base(folder, EXACT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta_schedule": "sigmoid"}, "says beta_schedule='sigmoid', which this package does not know"),
        ({"prediction_type": "sample"}, "says prediction_type='sample'"),
        ({"prediction_type": "v_prediction"}, "DeepFloyd IF predicts epsilon"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ({"num_train_timesteps": "many"}, r"num_train_timesteps='many' where a number from 1 to 100000"),
        ({"num_train_timesteps": 0}, r"num_train_timesteps=0 where"),
        ({"num_train_timesteps": 10.5}, r"num_train_timesteps=10\.5"),
        ({"num_train_timesteps": True}, r"num_train_timesteps=True"),
        ({"beta_schedule": "scaled_linear", "beta_start": None}, r"beta_start=None where a number from"),
        ({"beta_schedule": "scaled_linear", "beta_end": 1.5}, r"beta_end=1\.5 where"),
        ({"sample_max_value": 0.5}, r"sample_max_value=0\.5 where a number from 1"),
        ({"dynamic_thresholding_ratio": float("nan")}, r"dynamic_thresholding_ratio=nan where"),
    ],
)
def test_a_process_that_is_not_known_is_refused(own_model, changes, message):
    folder = own_model("if_m")
    edited(folder / "scheduler" / "scheduler_config.json", **changes)
    with pytest.raises(WeightsError, match=message) as error:
        load_base(sums(folder), EXACT)
    assert "predicts" in message or "scheduler/scheduler_config.json says" in str(error.value)


def test_one_model_does_not_pass_for_another(tiny_models):
    with pytest.raises(WeightsError, match="says in_channels=4 where 3 is needed; it is another model"):
        load_base(tiny_models / "sd", EXACT)
    with pytest.raises(WeightsError, match=r"image_noising_scheduler must hold and list"):
        load_upsampler(tiny_models / "if_m", EXACT)
    with pytest.raises(WeightsError, match="there is no model folder"):
        load_base(tiny_models / "nothing", EXACT)
    assert stable_scheduler().config.beta_schedule == "scaled_linear"
