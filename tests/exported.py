"""What the tests of the export share: small textured meshes, a GLB reader of its own, the validator."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from castex.maps import TextureMaps
from castex.mesh import Mesh, vertex_normals, with_tangents
from castex.scene import Attribution

VALIDATOR = "gltf-validator@2.0.0-dev.3.10"
AUTHOR = Attribution("Bed Lamp", "cowc2", "CC-BY-SA-4.0", "https://example.org/lamp", "b416732d")


def quad(*, mirrored=False):
    """The square [-1, 1]^2 in the plane z = 0, facing +z; its picture upright, or mirrored left to right."""
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    u = (corners[:, 0] + 1) / 2 * 0.75 + 0.125
    v = (1 - corners[:, 1]) / 2 * 0.75 + 0.125
    texcoord = torch.stack([1 - u if mirrored else u, v], dim=1)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    normal = torch.tensor([[0.0, 0, 1]]).expand(4, 3).contiguous()
    return with_tangents(corners, normal, texcoord, triangles)


def sphere(rows=16, columns=24):
    """A unit sphere laid out by longitude and latitude, a margin around it; the seam is at the back."""
    v, u = torch.meshgrid(torch.linspace(0, 1, rows + 1), torch.linspace(0, 1, columns + 1), indexing="ij")
    theta, phi = v * torch.pi, (u * 2 - 1) * torch.pi
    position = torch.stack([theta.sin() * phi.sin(), theta.cos(), theta.sin() * phi.cos()], dim=-1)
    position[:, -1] = position[:, 0]
    texcoord = torch.stack([u, v], dim=-1) * 0.9 + 0.05
    a = torch.arange(rows)[:, None] * (columns + 1) + torch.arange(columns)
    b, c, d = a + columns + 1, a + columns + 2, a + 1
    upper, lower = torch.stack([a, b, d], -1)[1:], torch.stack([b, c, d], -1)[:-1]
    triangles = torch.cat([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    position = position.reshape(-1, 3).contiguous()
    normal = vertex_normals(position, triangles)
    return with_tangents(position, normal, texcoord.reshape(-1, 2).contiguous(), triangles)


def joined(*meshes):
    """Meshes side by side in one vertex buffer, their texture coordinates as they are."""
    shifts = np.cumsum([0, *(len(mesh.v_position) for mesh in meshes)])
    triangles = [mesh.t_vertex_idx + int(shift) for mesh, shift in zip(meshes, shifts, strict=False)]
    fields = ("v_position", "v_normal", "v_tangent", "v_texcoord")
    return Mesh(*(torch.cat([getattr(m, f) for m in meshes]) for f in fields), torch.cat(triangles))


def moved(mesh, offset, scale):
    """The mesh with its texture coordinates scaled and moved; tangents do not change."""
    texcoord = mesh.v_texcoord * scale + torch.tensor(offset)
    return Mesh(mesh.v_position, mesh.v_normal, mesh.v_tangent, texcoord, mesh.t_vertex_idx)


def painted(size=64):
    """Smooth maps with something to lose: strong colours, a range of roughness, tilted normals."""
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    normal = torch.stack([0.5 * torch.sin(9 * x), 0.6 * torch.cos(7 * y), torch.ones_like(x)], dim=-1)
    return TextureMaps(
        albedo=torch.stack([0.05 + 0.4 * x, 0.05 + 0.2 * y, 0.3 - 0.25 * x * y], dim=-1),
        roughness=(0.2 + 0.7 * x * y)[..., None],
        metallic=(0.5 + 0.5 * torch.sin(6 * (x + y)))[..., None],
        normal=normal / normal.norm(dim=-1, keepdim=True),
    )


class Glb:
    """A GLB taken apart again, by the specification."""

    def __init__(self, content: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        size, kind = struct.unpack_from("<I4s", content, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.document = json.loads(content[20 : 20 + size])
        rest, kind = struct.unpack_from("<I4s", content, 20 + size)
        assert kind == b"BIN\0" and 28 + size + rest == length
        self._binary = content[28 + size :]

    def view(self, number: int) -> bytes:
        view = self.document["bufferViews"][number]
        return self._binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]

    def rows(self, attribute: str) -> np.ndarray:
        primitive = self.document["meshes"][0]["primitives"][0]
        number = primitive["indices"] if attribute == "indices" else primitive["attributes"][attribute]
        accessor = self.document["accessors"][number]
        kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[accessor["componentType"]]
        values = np.frombuffer(self.view(accessor["bufferView"]), kind)
        return values.reshape(-1, 3) if attribute == "indices" else values.reshape(accessor["count"], -1)

    def picture(self, kind: str) -> np.ndarray:
        material = self.document["materials"][0]
        texture = {**material, **material["pbrMetallicRoughness"]}[f"{kind}Texture"]["index"]
        image = self.document["images"][self.document["textures"][texture]["source"]]
        with Pillow.open(io.BytesIO(self.view(image["bufferView"]))) as opened:
            return np.asarray(opened)


def install_validator(folder: Path) -> Path:
    """The folder with Khronos' validator in node_modules, at its pinned version; skips where it cannot be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed: the glTF validator cannot run")
    ready = folder / VALIDATOR
    if ready.is_dir():
        return ready
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000"]
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        command = ["npm", "install", *options, "--prefix", draft, VALIDATOR]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not bring {VALIDATOR} within 90 s")
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line]
            pytest.skip(f"npm cannot install {VALIDATOR}: {'; '.join(lines[:3])}")
        # Whole or absent; another process may have been faster.
        with contextlib.suppress(OSError):
            (Path(draft) / "node_modules").rename(ready)
    return ready


def reports(modules: Path, *files: Path) -> list[dict]:
    """The validator's report on each file."""
    script = Path(__file__).with_name("validate_gltf.cjs")
    command = ["node", script, modules, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
