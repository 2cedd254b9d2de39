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

# Billion parameters and TFLOP per row, counted independently with diffusers 0.42.1 (field notes, 4.1).
KNOWN = {
    "if-i-m": (0.372, 0.229),
    "if-i-l": (0.935, 0.612),
    "if-i-xl": (4.305, 2.879),
    "if-ii-l-a2": (1.19, 3.1),
    "if-ii-l-a3": (1.21, 3.5),
    "if-ii-l-b": (1.239, 5.1),
    "sd-2-1": (0.866, 0.804),
    "sd-vae": (0.0837, 3.63),
    "t5-xxl": (4.76, 0.715),
    "clip-vit-b-32": (0.1513, 0.0148),
}


@pytest.mark.parametrize("name", KNOWN)
def test_published_shapes_have_the_known_size_and_work(name):
    shape = true_shapes()[name]
    cost = count(shape)
    parameters, tflop = KNOWN[name]
    assert cost.parameters / 1e9 == pytest.approx(parameters, rel=0.01)
    assert cost.flops / shape.batch / 1e12 == pytest.approx(tflop, rel=0.03)
    assert cost.weight_bytes == 2 * cost.parameters


def test_the_table_is_complete_and_takes_views_twice():
    assert set(true_shapes()) == set(KNOWN)
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
