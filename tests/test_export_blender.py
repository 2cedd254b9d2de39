"""An exported GLB in Blender: the same light and cameras give nearly our picture, a wrong file does not.

Set CASTEX_BLENDER to a `blender`, or to a Python that has `bpy`; without it `blender` on the path is used.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import AUTHOR, painted, sphere

from castex.export import export_glb
from castex.light import prefiltered
from castex.maps import TextureMaps, linear_to_srgb, srgb_to_linear
from castex.mesh import with_tangents
from castex.render import MeshRenderer
from castex.shot import fixed_shot

pytestmark = pytest.mark.long
SIZE, SAMPLES = 96, 64
SHOT = fixed_shot([0.0, 200.0], [20.0, 60.0], background=(0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def blender():
    """The command before the job's path."""
    program = os.environ.get("CASTEX_BLENDER") or shutil.which("blender")
    if program is None:
        pytest.skip("Blender is not installed (set CASTEX_BLENDER to it, or to a Python with bpy)")
    script = str(Path(__file__).with_name("blender_render.py"))
    if Path(program).name.startswith("blender"):
        return [program, "-b", "--factory-startup", "-P", script, "--"]
    return [program, script]


@pytest.fixture(scope="module")
def sky():
    """A panorama that is brighter and warmer on one side."""
    v, u = torch.meshgrid((torch.arange(64) + 0.5) / 64, (torch.arange(128) + 0.5) / 128, indexing="ij")
    sun = torch.exp(-((u - 0.3) ** 2 + (v - 0.25) ** 2) / 0.02)
    return torch.stack([0.2 + 2 * sun, 0.3 + 1.5 * sun, 0.5 * (1 - v) + 0.5 * sun], dim=-1)


def ball(mirrored):
    """Convex, so that Blender's shadows and interreflections add nothing that we lack."""
    mesh = sphere(24, 36)
    if not mirrored:
        return mesh
    texcoord = mesh.v_texcoord * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    return with_tangents(mesh.v_position, mesh.v_normal, texcoord, mesh.t_vertex_idx)


def gentle():
    """Maps on which split sum and path tracing agree: not too smooth, normals not below the horizon."""
    maps = painted(128)
    normal = maps.normal * torch.tensor([0.3, 0.3, 1.0])
    normal = normal / normal.norm(dim=-1, keepdim=True)
    return TextureMaps(maps.albedo, 0.3 + 0.6 * maps.roughness, maps.metallic, normal)


def raw_albedo(maps):
    """Albedo written as if it were already encoded."""
    return dataclasses.replace(maps, albedo=srgb_to_linear(maps.albedo))


def swapped_green(maps):
    """Normals with green pointing down."""
    return dataclasses.replace(maps, normal=maps.normal * torch.tensor([1.0, -1.0, 1.0]))


def rendered(blender, folder, mesh, maps, sky):
    """Blender's views of the exported file: linear `views 4 height width`, alpha last."""
    OpenEXR = pytest.importorskip("OpenEXR")
    folder.mkdir()
    export_glb(folder / "ball.glb", mesh, maps, attribution=AUTHOR, provenance={})
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": sky.numpy()}).write(str(folder / "sky.exr"))
    cameras = torch.eye(4, dtype=torch.float64).repeat(len(SHOT), 1, 1)
    cameras[:, :3, :3], cameras[:, :3, 3] = SHOT.axes().mT, SHOT.eyes()
    job = {
        "glb": str(folder / "ball.glb"),
        "panorama": str(folder / "sky.exr"),
        "output": str(folder),
        "size": SIZE,
        "fov": math.radians(SHOT.fov),
        "samples": SAMPLES,
        "cameras": cameras.tolist(),
    }
    (folder / "job.json").write_text(json.dumps(job))
    command = [*blender, str(folder / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "No module named 'bpy'" in done.stderr:
        pytest.skip(f"{blender[0]} has no bpy")
    assert (folder / f"{len(SHOT) - 1}.exr").is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    views = [OpenEXR.File(str(folder / f"{k}.exr")).channels()["RGBA"].pixels for k in range(len(SHOT))]
    return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)


def psnr(ours, theirs, inside):
    """Decibels on displayed colours over the pixels inside both silhouettes."""
    difference = (linear_to_srgb(ours) - linear_to_srgb(theirs)).permute(0, 2, 3, 1)[inside]
    return -10 * difference.square().mean().log10().item()


@pytest.mark.parametrize("mirrored", [False, True])
def test_blender_shows_our_picture(tmp_path, blender, sky, mirrored):
    mesh, maps = ball(mirrored), gentle()
    renderer = MeshRenderer(mesh, prefiltered(sky, 64), SIZE)
    buffer = renderer.buffer(SHOT)
    ours, covered = renderer.shaded(maps, buffer, SHOT), renderer.coverage(buffer, len(SHOT))
    found = {}
    for name, wrong in (("right", lambda same: same), ("raw", raw_albedo), ("green", swapped_green)):
        theirs = rendered(blender, tmp_path / name, mesh, wrong(maps), sky)
        assert ((theirs[:, 3:] > 0.5).float() - covered).abs().mean() < 0.005, "the silhouettes agree"
        inside = (covered[:, 0] > 0) & (theirs[:, 3] > 0.99)
        found[name] = psnr(ours, theirs[:, :3], inside)
        if name == "right":
            for view in range(len(SHOT)):
                mean, other = (x[view][:, inside[view]].mean(1) for x in (ours, theirs[:, :3]))
                torch.testing.assert_close(other, mean, rtol=0.08, atol=0)
    print({name: round(value, 1) for name, value in found.items()})
    assert found["right"] > 32
    assert found["green"] < found["right"] - 3
    assert found["raw"] < 24
