"""Random streams are independent by purpose and the same in every process."""

from __future__ import annotations

import subprocess
import sys

import torch

from castex.rng import generator


def test_same_triple_same_stream():
    one, two = (torch.rand(5, generator=generator(7, "vase", "noise")) for _ in range(2))
    assert torch.equal(one, two)


def test_streams_differ_in_every_part_of_the_triple():
    triples = [(s, a, p) for s in range(20) for a in ("vase", "mug", "") for p in ("shot", "noise")]
    assert len({generator(*triple).initial_seed() for triple in triples}) == len(triples)


def test_parts_cannot_run_into_each_other():
    assert generator(0, "ab", "c").initial_seed() != generator(0, "a", "bc").initial_seed()


def test_another_process_draws_the_same():
    code = "from castex.rng import generator; print(generator(7, 'vase', 'noise').initial_seed())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(out) == generator(7, "vase", "noise").initial_seed()
