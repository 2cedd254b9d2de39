"""What a forward costs: parameters, floating-point operations, bytes moved, and the time a roofline predicts.

Conventions. A multiply-add is two operations; attention is counted like any other matrix product; nothing
else is (normalisations and activations are bytes, not operations). Every kernel reads its inputs and writes
its outputs once, in three ways of running:

    unfused     each operator alone, attention as products and a softmax, torch's `math` backend
    eager       the same with attention as one kernel, as `scaled_dot_product_attention` runs on CUDA
    compiled    only convolutions, products and attention move bytes, everything else is fused into them:
                what torch.compile could reach at best

A kernel takes the longer of its arithmetic and its traffic, at an assumed share of the machine's peaks
(`MACHINES`). Rendering, the optimiser and Python are not in it. Predictions are for orientation: no claim is
decided on them.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from castex.true_shapes import UPSAMPLER, Shape, build, example_inputs

aten = torch.ops.aten
# Operators that move nothing, beside views.
FREE = (aten._unsafe_view, aten.detach, aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty)
Execution = Literal["unfused", "eager", "compiled"]
EXECUTIONS: tuple[Execution, ...] = get_args(Execution)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One operator of a forward."""

    flops: int
    moved: int
    """Bytes read and written."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One forward of a network."""

    parameters: int
    weight_bytes: int
    plain: tuple[Kernel, ...]
    """Operators that only move bytes, outside attention."""
    products: tuple[Kernel, ...]
    """Convolutions and matrix products outside attention."""
    attention: tuple[Kernel, ...]
    """Each attention as one kernel."""
    attention_parts: tuple[Kernel, ...]
    """The operators that those attentions consist of."""

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward."""
        return sum(kernel.flops for kernel in self.kernels("eager"))

    def moved(self, execution: Execution) -> int:
        """Bytes read and written by all kernels."""
        return sum(kernel.moved for kernel in self.kernels(execution))

    def kernels(self, execution: Execution) -> tuple[Kernel, ...]:
        """What runs, one after the other."""
        if execution == "compiled":
            return self.products + self.attention
        inside = self.attention_parts if execution == "unfused" else self.attention
        return self.plain + self.products + inside


@dataclass(frozen=True, slots=True)
class Machine:
    """An accelerator as the roofline sees it."""

    name: str
    flops_per_s: float
    """Dense bfloat16 operations per second."""
    bytes_per_s: float
    """Memory bandwidth."""
    compute_share: float
    """Part of the arithmetic peak that networks of this kind are assumed to reach."""
    memory_share: float
    """Part of the bandwidth that they are assumed to reach."""
    source: str
    """Where the two peaks come from."""


# The peaks have sources. The shares are assumptions, measured on neither machine: 70 % of an A100 and 65 % of
# an H200, for arithmetic and bandwidth alike, as in the field notes, 4.2.
MACHINES = {
    "a100": Machine("A100 80GB", 312e12, 2.039e12, 0.7, 0.7, "data sheet, SXM"),
    "h200": Machine(
        "H200",
        790e12,
        4.8e12,
        0.65,
        0.65,
        "bf16 matrix product of 769 to 798 TFLOP/s; data sheet's bandwidth",
    ),
}

# Steps of the two stages (paper.md 1.4).
STEPS = {"base": 500, "upsampler": 1000}
SYNTHESES = {"castex-m": "if-i-m", "castex-xl": "if-i-xl"}


def count(shape: Shape, dtype: torch.dtype = torch.bfloat16) -> Cost:
    """Count one forward on the meta device: no memory, well under a second of work, no weights."""
    network, inputs = build(shape, dtype), example_inputs(shape, dtype=dtype)
    return count_call(network, lambda: network(**inputs))


def count_call(network: nn.Module, call: Callable[[], object]) -> Cost:
    """Count what `call` runs; the parameters are those of `network`. Gradients are off."""
    meter = _Meter()
    with torch.no_grad(), meter, _Attention(meter):
        call()
    weights = list(network.parameters())
    return Cost(
        parameters=sum(weight.numel() for weight in weights),
        weight_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        plain=tuple(meter.plain),
        products=tuple(meter.products),
        attention=tuple(meter.attention),
        attention_parts=tuple(meter.parts),
    )


def predicted_ms(cost: Cost, machine: Machine, execution: Execution) -> float:
    """Milliseconds of one forward by the roofline."""
    compute = machine.flops_per_s * machine.compute_share
    memory = machine.bytes_per_s * machine.memory_share
    return 1000 * sum(max(k.flops / compute, k.moved / memory) for k in cost.kernels(execution))


def predicted_seconds(step_ms: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Seconds of the networks for one texture, by (synthesis, variant), from the milliseconds of a step.

    `ours` where the base model is alone; with the upsampler the variants are the candidates for IF-II-L.
    """
    found = {}
    for name, base in SYNTHESES.items():
        first = STEPS["base"] * step_ms[base] / 1000
        found[name, "ours"] = first
        for variant, upsampler in _candidates(step_ms).items():
            found[f"{name}-l", variant] = first + STEPS["upsampler"] * step_ms[upsampler] / 1000
    return found


def sizes(parameters: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Parameters of all UNets of a synthesis, as the paper's table adds them up; keys as above."""
    found = {}
    for name, base in SYNTHESES.items():
        found[name, "ours"] = parameters[base]
        for variant, upsampler in _candidates(parameters).items():
            found[f"{name}-l", variant] = parameters[base] + parameters[upsampler]
    return found


def _candidates(networks: Iterable[str]) -> dict[str, str]:
    """The candidates for IF-II-L among the networks, by the end of their names."""
    start = f"{UPSAMPLER}-"
    return {name.removeprefix(start): name for name in networks if name.startswith(start)}


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over the counted forwards."""

    ms: float
    """Wall-clock milliseconds."""
    cpu_ms: float
    """Milliseconds of processor time, which other work on the machine does not stretch."""


def measure(network: nn.Module, inputs: Mapping[str, Tensor], *, repeats: int, warmup: int = 2) -> Measured:
    """Time `repeats` forwards after `warmup` that are not counted; on CUDA, until the device is done."""
    wall, cpu = [], []
    with torch.inference_mode():
        for _ in range(warmup + repeats):
            started = time.perf_counter(), time.process_time()
            network(**inputs)
            if next(iter(inputs.values())).is_cuda:
                torch.cuda.synchronize()
            wall.append(time.perf_counter() - started[0])
            cpu.append(time.process_time() - started[1])
    return Measured(*(1000 * statistics.median(seconds[warmup:]) for seconds in (wall, cpu)))


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator below autograd, composite ones already taken apart."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.plain: list[Kernel] = []
        self.products: list[Kernel] = []
        self.attention: list[Kernel] = []
        self.parts: list[Kernel] = []
        self.inside = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.is_view or func.overloadpacket in FREE:
            return out
        formula = flop_registry.get(func.overloadpacket)
        flops = 0 if formula is None else int(formula(*args, **(kwargs or {}), out_val=out))
        kernel = Kernel(flops, _bytes([args, kwargs, out]))
        plain = self.plain if formula is None else self.products
        (self.parts if self.inside else plain).append(kernel)
        return out


class _Attention(TorchFunctionMode):
    """Tells the meter when an attention begins and ends."""

    def __init__(self, meter: _Meter) -> None:
        super().__init__()
        self._meter = meter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        before = len(self._meter.parts)
        self._meter.inside = True
        try:
            out = func(*args, **(kwargs or {}))
        finally:
            self._meter.inside = False
        flops = sum(kernel.flops for kernel in self._meter.parts[before:])
        self._meter.attention.append(Kernel(flops, _bytes([args, kwargs, out])))
        return out


def _bytes(values: Iterable[Any]) -> int:
    """Bytes of all tensors among the values; an axis that is only repeated takes no memory of its own."""
    return sum(
        leaf.element_size()
        * math.prod(n for n, stride in zip(leaf.shape, leaf.stride(), strict=True) if stride)
        for leaf in tree_leaves(list(values))
        if isinstance(leaf, Tensor)
    )
