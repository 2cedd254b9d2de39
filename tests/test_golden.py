"""Golden pictures: the renderer, the procedural materials and the generated lights as they looked last time.

`python -m pytest tests/test_golden.py --golden` draws them anew; look at each before it is committed. The
tolerance leaves room for other processors: 45 dB over the whole picture, and no pixel off by more than 24 of
255 but for one in two hundred (an edge that falls on the other side).
"""

from __future__ import annotations

import math

import pytest
import torch
from conftest import ROOT

from castex.light import prefiltered
from castex.panorama import generated_panorama
from castex.photograph import fitting_distance, photographs
from castex.picture import read_picture, write_picture
from castex.prepare import prepare
from castex.scene_file import load_scene
from castex.shot import fixed_shot
from castex.training.materials import material_maps, texel_points

GOLDEN = ROOT / "tests" / "golden"
CASES = [
    ("teapot", "golden", "yellow", "studio"),
    ("house", "brick", "red", "sky"),
    ("rocket", "checkered", "blue", "sunset"),
    ("vase", "leopard", "orange", "studio"),
]
PSNR_DB, FAR_OFF, SHARE = 45.0, 24 / 255, 1 / 200


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_golden(case, request):
    name, material, colour, light = case
    path = GOLDEN / f"{'-'.join(case)}.png"
    mesh = prepare(load_scene(ROOT / "data" / "mini" / "meshes" / f"{name}.glb"), size=64).mesh
    maps = material_maps(texel_points(mesh, 128), material, colour, seed=0)
    shot = fixed_shot([30.0], [20.0], distance=fitting_distance(mesh, 30.0), light_rotation=15.0)
    ((picture, _),) = photographs(mesh, maps, prefiltered(generated_panorama(light), 32), shot, size=96)
    if request.config.getoption("--golden"):
        write_picture(path, picture)
    difference = (read_picture(path) - picture).abs()
    assert (difference > FAR_OFF).any(1).float().mean() <= SHARE
    assert -10 * math.log10(float(difference.square().mean()) + 1e-12) >= PSNR_DB


def test_golden_pictures_differ_from_each_other():
    """The tolerance is not so wide that one picture passes for another."""
    pictures = [read_picture(GOLDEN / f"{'-'.join(case)}.png") for case in CASES]
    for k, one in enumerate(pictures):
        for other in pictures[:k]:
            assert -10 * math.log10(float((one - other).square().mean())) < 25
    brighter = (pictures[0] * 1.03).clamp(0, 1)
    assert -10 * math.log10(float(torch.square(brighter - pictures[0]).mean())) < PSNR_DB
