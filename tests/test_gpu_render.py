"""The CUDA renderer: the same pictures as Embree's, repeatable gradients, and its time per step.

`make gpu-check`. The plain pipeline that times are compared with is what nvdiffrast's own samples do:
rasterise, interpolate, look up with its texture operator; the shading is ours in both.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time

import pytest
import torch
from surfaces import bumpy, random_light, random_maps, sphere

from castex.maps import TextureMaps, grey_maps
from castex.prepare import prepare
from castex.render import MeshRenderer, _shade_piece
from castex.scene_file import load_scene
from castex.shot import ShotSettings, fixed_shot, sample_shot
from castex.visibility import EmbreeVisibility, clip_matrices

pytestmark = pytest.mark.gpu
REAL = [
    "meshes/avocado/avocado.gltf",
    "meshes/bob/bob_tri.obj",
    "meshes/spot/spot.obj",
    "objaverse_glb/b416732d162e4e4d92ee9a37c65fedbc.glb",
    "objaverse_glb/2968ed36911043359cc110067ab8b725.glb",
]


@pytest.fixture(autouse=True)
def _cuda():
    if not torch.cuda.is_available():
        pytest.fail("no CUDA device: `make gpu-check` is for machines that have one")


@pytest.fixture
def dr():
    return pytest.importorskip("nvdiffrast.torch", reason="nvdiffrast is not installed: `make gpu-pack`")


@pytest.fixture(scope="module")
def light():
    return random_light(torch.Generator().manual_seed(3), side=128)


def interior(hits):
    """Pixels whose eight neighbours are covered as they are."""
    covered = (hits >= 0).float()[:, None]
    spread = torch.nn.functional.max_pool2d(covered, 3, 1, 1)
    shrunk = -torch.nn.functional.max_pool2d(-covered, 3, 1, 1)
    return (spread == shrunk)[:, 0]


def compare(mesh, maps, light, shot, size):
    """Share of pixels that one backend covers and the other does not; PSNR away from silhouettes."""
    on_cpu, on_cuda = MeshRenderer(mesh, light, size), MeshRenderer(mesh.to("cuda"), light.to("cuda"), size)
    hits, others = on_cpu._visibility(shot, size), on_cuda._visibility(shot, size).cpu()
    disagreement = ((hits >= 0) != (others >= 0)).float().mean().item()
    difference = on_cpu(maps, shot) - on_cuda(maps.to("cuda"), shot).cpu()
    inside = (interior(hits) & interior(others))[:, None].expand_as(difference)
    error = difference[inside].square().mean()
    return disagreement, float(-10 * torch.log10(error.clamp_min(1e-20)))


@pytest.mark.parametrize("name", REAL)
def test_both_backends_draw_the_same_real_meshes(dr, shared, light, name):
    made = prepare(load_scene(shared / name), size=512)
    shot = fixed_shot([10.0, 130.0, 250.0], [20.0, -40.0, 55.0], light_rotation=30.0)
    disagreement, psnr = compare(made.mesh, made.maps or grey_maps(512), light, shot, 512)
    print(f"{name}: masks differ on {disagreement:.5%} of the pixels, {psnr:.1f} dB")
    assert disagreement <= 1e-3 and psnr >= 45


def test_both_backends_draw_the_same_generated_mesh(dr, stream, light):
    shot = sample_shot(ShotSettings(views=4), generator=stream)
    disagreement, psnr = compare(bumpy(stream), random_maps(256, 256, stream), light, shot, 256)
    assert disagreement <= 1e-3 and psnr >= 45


def test_shading_and_lookup_agree_with_the_cpu(stream, light):
    """Without nvdiffrast: the same triangles on both devices, images and gradients within rounding."""
    mesh, maps = bumpy(stream), random_maps(128, 128, stream)
    shot = sample_shot(ShotSettings(views=2), generator=stream)
    embree = EmbreeVisibility(mesh)
    found = {}
    for device in ("cpu", "cuda"):
        leaf = TextureMaps(
            *(getattr(maps, f.name).to(device).requires_grad_() for f in dataclasses.fields(maps))
        )
        renderer = MeshRenderer(
            mesh.to(device),
            light.to(device),
            128,
            visibility=lambda shot, size, device=device: embree(shot, size).to(device),
        )
        image = renderer(leaf, shot)
        image.square().sum().backward()
        found[device] = [
            image.detach().cpu(),
            *(getattr(leaf, f.name).grad.cpu() for f in dataclasses.fields(leaf)),
        ]
    for a, b in zip(found["cpu"], found["cuda"], strict=True):
        # A pixel whose level falls just on a boundary may take another tap.
        assert ((a - b).abs() > 1e-3 + 1e-3 * b.abs()).float().mean() < 1e-3


def step(renderer, maps, shot):
    leaf = TextureMaps(*(getattr(maps, f.name).detach().requires_grad_() for f in dataclasses.fields(maps)))
    image = renderer(leaf, shot)
    image.square().sum().backward()
    return [image.detach(), *(getattr(leaf, f.name).grad for f in dataclasses.fields(leaf))]


def test_gradients_repeat_bit_by_bit_on_cuda(dr, stream, light):
    mesh, maps = sphere(128, 128).to("cuda"), random_maps(512, 512, stream).to("cuda")
    shot = sample_shot(ShotSettings(), generator=stream)
    renderer = MeshRenderer(mesh, light.to("cuda"), 256)
    first = step(renderer, maps, shot)
    for _ in range(4):
        assert all(torch.equal(a, b) for a, b in zip(first, step(renderer, maps, shot), strict=True))


class Plain:
    """nvdiffrast's own rasterise, interpolate and texture operators, then our shading."""

    def __init__(self, dr, mesh, light, size):
        self.dr, self.mesh, self.size = dr, mesh, size
        self.context = dr.RasterizeCudaContext()
        self.tables = MeshRenderer(mesh, light, size)._tables
        self.attributes = torch.cat([mesh.v_normal, mesh.v_tangent, mesh.v_position], dim=1).contiguous()

    def __call__(self, maps, shot):
        dr, triangles = self.dr, self.mesh.t_vertex_idx.int().contiguous()
        position = torch.cat([self.mesh.v_position, torch.ones_like(self.mesh.v_position[:, :1])], dim=1)
        clip = (position @ clip_matrices(shot).float().cuda().transpose(1, 2)).contiguous()
        raster, derivatives = dr.rasterize(self.context, clip, triangles, (self.size, self.size))
        values, _ = dr.interpolate(self.attributes[None], raster, triangles)
        uv, slopes = dr.interpolate(
            self.mesh.v_texcoord[None].contiguous(), raster, triangles, rast_db=derivatives, diff_attrs="all"
        )
        texels = dr.texture(
            maps.stacked()[None].contiguous(), uv, slopes, filter_mode="linear-mipmap-linear", max_mip_level=9
        )
        covered = raster[..., 3] > 0
        normal, tangent, point = (
            torch.nn.functional.normalize(k, dim=-1) if i < 2 else k
            for i, k in enumerate(values[covered].split(3, -1))
        )
        view_index = covered.nonzero()[:, 0]
        view = torch.nn.functional.normalize(shot.eyes().float().cuda()[view_index] - point, dim=-1)
        buffer = type("Buffer", (), {"gb_normal": normal.T, "gb_tangent": tangent.T, "gb_view": view.T})
        colour = _shade_piece(texels[covered], buffer, slice(None), self.tables, shot.light_rotation)
        image = shot.background.cuda().expand(len(shot), self.size, self.size, 3)
        return image.index_put((covered,), colour.T).flip(1).permute(0, 3, 1, 2)


def milliseconds(renderer, maps, shots):
    times = []
    for shot in shots:
        torch.cuda.synchronize()
        start = time.perf_counter()
        step(renderer, maps, shot)
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def test_time_of_a_step_beside_the_plain_pipeline(dr, stream, light, root):
    """8 views of 512 x 512, maps of 1024, 50,000 triangles, forward and backward, in one run."""
    mesh, maps = sphere(158, 158).to("cuda"), random_maps(1024, 1024, stream).to("cuda")
    light = light.to("cuda")
    shots = [sample_shot(ShotSettings(), generator=stream) for _ in range(23)]
    ours = milliseconds(MeshRenderer(mesh, light, 512), maps, shots)
    plain = milliseconds(Plain(dr, mesh, light, 512), maps, shots)
    record = {
        "device": torch.cuda.get_device_name(),
        "ours_ms": ours,
        "plain_ms": plain,
        "ratio": ours / plain,
    }
    (root / "results").mkdir(exist_ok=True)
    (root / "results" / "gpu_render.json").write_text(json.dumps(record, indent=2) + "\n")
    print(record)
    if "H200" in record["device"]:
        assert ours <= 15


def test_the_plain_pipeline_draws_the_same_picture(dr, stream, light):
    mesh, maps = sphere(64, 64).to("cuda"), random_maps(256, 256, stream, bump=0.1).to("cuda")
    shot = fixed_shot([20.0, 140.0], [10.0, -30.0])
    light = light.to("cuda")
    difference = MeshRenderer(mesh, light, 256)(maps, shot) - Plain(dr, mesh, light, 256)(maps, shot)
    assert difference.abs().median() < 1e-4 and (difference.abs() > 0.02).float().mean() < 0.01
