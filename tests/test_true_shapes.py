"""The published shapes: parameters and operations come out as published, and any of them can be made."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_networks import CONFIGS, write_folders
from torch.utils.flop_counter import FlopCounterMode

from castex.cost import count
from castex.errors import InputError, WeightsError
from castex.true_shapes import (
    Shape,
    build,
    example_inputs,
    random_network,
    shapes_of_folder,
    true_shapes,
)

# Billion parameters and TFLOP per row. Those of the field notes (4.1) were counted with torch's counter and
# diffusers 0.42.1; those of `x` come from the code under test: they notice a change and confirm nothing.
NOTED = {
    "if-i-m": (0.372, 0.229),
    "if-i-l": (0.935, 0.612),
    "if-i-xl": (4.305, 2.879),
    "if-ii-l-a2": (1.19, 3.1),
    "if-ii-l-a3": (1.21, 3.5),
    "if-ii-l-b": (1.239, 5.1),
    "if-ii-l-a2x": (1.128, 2.980),
    "if-ii-l-a3x": (1.145, 3.034),
    "if-ii-l-bx": (1.180, 4.905),
}
# Operations of all attentions of one row, by hand: 4 per query, key and channel.
ATTENTION = {
    # Two blocks down and three up at each of three sizes, one in the middle; to the pixels and to 77 tokens.
    "sd-2-1": sum(
        4 * side**2 * (side**2 + 77) * channels * layers
        for side, channels, layers in ((64, 320, 5), (32, 640, 5), (16, 1280, 5), (8, 1280, 1))
    ),
    # In the middle of encoder and decoder, at an eighth of the side.
    "sd-vae": 2 * 4 * 64**2 * 64**2 * 512,
    "t5-xxl": 24 * 4 * 77 * 77 * 4096,
    # 77 tokens, and 7 x 7 patches with one token for the class.
    "clip-vit-b-32": 12 * 4 * (77 * 77 * 512 + 50 * 50 * 768),
}
# Parameters by hand: embeddings, then layers of attention, the two products and norms, then what follows.
PARAMETERS = {
    "t5-xxl": 32128 * 4096 + 24 * (4 * 4096**2 + 3 * 4096 * 10240 + 2 * 4096) + 32 * 64 + 4096,
    "clip-vit-b-32": (
        (49408 + 77) * 512
        + 12 * (12 * 512**2 + 13 * 512)
        + (3 * 32**2 + 50 + 1) * 768
        + 12 * (12 * 768**2 + 13 * 768)
        + 2 * 512
        + 4 * 768
        + (512 + 768) * 512
        + 1
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_deepfloyd_shapes_have_the_noted_size_and_work(name):
    shape = true_shapes()[name]
    cost = count(shape)
    parameters, tflop = NOTED[name]
    assert cost.parameters / 1e9 == pytest.approx(parameters, rel=0.01)
    assert cost.flops / shape.batch / 1e12 == pytest.approx(tflop, rel=0.03)
    assert cost.weight_bytes == 2 * cost.parameters


@pytest.mark.parametrize("name", ATTENTION)
def test_other_shapes_cost_what_their_layers_and_attentions_do(name):
    """Another way to the same number: layers by their outputs, through hooks, and attention by hand."""
    shape = true_shapes(1)[name]
    network, found = build(shape), []

    def add(layer, _, output):
        taps = layer.weight[0].numel()
        found.append(2 * output.numel() * taps)

    for layer in network.modules():
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
            layer.register_forward_hook(add)
    with torch.no_grad():
        network(**example_inputs(shape))
    expected = sum(found) + shape.batch * ATTENTION[name]
    assert count(shape).flops == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_text_models_have_the_size_that_their_configuration_gives(name):
    assert count(true_shapes(1)[name]).parameters == PARAMETERS[name]


@pytest.mark.parametrize(("name", "million"), [("sd-2-1", 865.911), ("sd-vae", 83.654)])
def test_the_latent_models_keep_their_size(name, million):
    """As this code counted them: it notices a change of the configuration and confirms nothing."""
    assert count(true_shapes(1)[name]).parameters / 1e6 == pytest.approx(million, abs=1e-3)


@pytest.mark.parametrize(("name", "billion"), [("if-i-m", 0.4), ("if-i-l", 0.9), ("if-i-xl", 4.3)])
def test_base_models_have_the_size_that_deepfloyd_publishes(name, billion):
    assert round(count(true_shapes(1)[name]).parameters / 1e9, 1) == billion


def test_nothing_but_text_is_attended_to_without_self_attention():
    """The keys of `x` are the 77 tokens; everything but attention and its products is the same."""
    for name in ("if-ii-l-a3", "if-ii-l-b"):
        plain, without = (count(true_shapes(1)[f"{name}{end}"]) for end in ("", "x"))
        assert len(plain.attention) == len(without.attention)
        assert sum(k.flops for k in without.attention) < 0.2 * sum(k.flops for k in plain.attention)
        assert without.parameters < plain.parameters


def test_the_table_is_complete_and_takes_views_twice():
    assert set(true_shapes()) == {*NOTED, *ATTENTION}
    assert true_shapes()["if-i-xl"].batch == 16 and true_shapes(2)["if-ii-l-b"].batch == 4
    assert true_shapes(2)["t5-xxl"].batch == 2, "a prompt and no prompt, whatever the views"


def test_a_shape_alone_takes_no_memory():
    assert all(weight.is_meta for weight in build(true_shapes()["if-i-xl"]).parameters())


def test_every_operation_that_torch_counts_is_counted():
    shape = true_shapes()["if-i-m"]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(shape)(**example_inputs(shape))
    cost = count(shape)
    assert cost.flops == counter.get_total_flops()
    assert sum(k.flops for k in cost.kernels("unfused")) == sum(k.flops for k in cost.kernels("compiled"))


def test_the_attention_of_a_base_model_is_counted_by_the_book():
    """IF-I-M attends at 32, 16 and 8 pixels: down 3, middle 1, up 4 per level; keys: pixels and 77 tokens."""
    cost = count(true_shapes(1)["if-i-m"])
    expected = sum(
        4 * 2 * channels * side**2 * (side**2 + 77) * layers
        for side, channels, layers in ((32, 384, 7), (16, 576, 7), (8, 768, 7 + 1))
    )
    assert len(cost.attention) == 22
    assert sum(kernel.flops for kernel in cost.attention) == expected


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """All networks of the tiny model folders, by name."""
    folders = write_folders(tmp_path_factory.mktemp("models"))
    found = [s for name, f in folders.items() for s in shapes_of_folder(name, f, views=(2, 1), latent_size=8)]
    return {shape.name: shape for shape in found}


def test_a_folder_names_its_networks_by_part(shapes):
    batches = {name: (shape.batch, shape.size) for name, shape in shapes.items()}
    assert batches == {
        "if_xl": (4, 16),
        "if_xl/text_encoder": (2, 0),
        "if_ii": (2, 32),
        "sd": (4, 8),
        "sd/text_encoder": (2, 0),
        "sd/vae": (2, 64),
        "controlnet_depth": (4, 8),
        "clip": (2, 32),
    }


@pytest.mark.parametrize(
    "name", [f"{n}/{p}".rstrip("/").replace("/unet", "") for n, parts in CONFIGS.items() for p in parts]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_random_weights_run_and_repeat(shapes, name, dtype):
    shape, outputs = shapes[name], []
    state = torch.get_rng_state()
    for _ in range(2):
        stream = torch.Generator().manual_seed(3)
        network = random_network(shape, device="cpu", dtype=dtype, generator=stream)
        inputs = example_inputs(shape, device="cpu", dtype=dtype, generator=stream)
        with torch.inference_mode():
            outputs.append(next(v for v in network(**inputs).values() if isinstance(v, torch.Tensor)))
    assert outputs[0].isfinite().all() and outputs[0].float().std() > 0
    assert torch.equal(*outputs)
    assert torch.equal(state, torch.get_rng_state()), "no draw from the global stream"
    assert not network.training and {p.dtype for p in network.parameters()} == {dtype}


def test_random_clip_knows_its_positions(shapes):
    network = random_network(shapes["clip"], device="cpu", dtype=torch.float32, generator=torch.Generator())
    positions = network.text_model.embeddings.position_ids
    assert torch.equal(positions, torch.arange(77)[None])


def test_what_cannot_be_counted_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"holds no config\.json"):
        shapes_of_folder("no", tmp_path, views=(1, 1))
    (tmp_path / "config.json").write_text(json.dumps({"sample_size": 8}))
    (shape,) = shapes_of_folder("nameless", tmp_path, views=(1, 1))
    with pytest.raises(WeightsError, match="of nameless names no class"):
        build(shape)
    with pytest.raises(InputError, match="odd is a BertModel"):
        build(Shape("odd", {"architectures": ["BertModel"]}, 0, 1))
