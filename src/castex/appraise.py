"""Numbers on a texture beside recognition: likeness to prompt and material, seams, baked light."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from castex.anchoring import LUMINANCE
from castex.bake import dilated
from castex.judge import Judge
from castex.light import EnvironmentLight
from castex.maps import TextureMaps, linear_to_srgb
from castex.mesh import Mesh
from castex.protocols import Image
from castex.recognise import pictures_of
from castex.training.materials import texel_points

ALONG = (0.2, 0.4, 0.6, 0.8)
"""Where an edge is looked at, as shares of its length."""
INSET_TEXELS = 1.5
SAME_UV, SAME_PLACE = 1e-6, 1e-5
Albedo = Float[Tensor, "height width 3"]
Edges = Float[Tensor, "edges 2 2"]


def clip_score(judge: Judge, images: Image, prompt: str) -> float:
    """100 times the mean cosine of pictures (linear, [0, 1]) and the prompt, none counted below 0."""
    cosines = judge.image_features(linear_to_srgb(images)) @ judge.text_features([prompt]).T
    return 100 * float(cosines.clamp_min(0).mean())


def feature_distance(judge: Judge, images: Image, truth: Image) -> float:
    """Mean distance, 0 to 2, of the judge's features of two sets of pictures from the same cameras."""
    ours, wanted = (judge.image_features(linear_to_srgb(views)) for views in (images, truth))
    return float((ours - wanted).norm(dim=1).mean())


def seam_energy(mesh: Mesh, albedo: Albedo) -> tuple[float, float]:
    """Mean absolute difference of the albedo on two sides of an edge: across seams, and across all others.

    Both sides are looked up at most a texel and a half from the edge, towards the middle of the triangle and
    at most halfway; texels outside the islands count as the nearest one inside. Seams are edges whose
    triangles have different texture coordinates there. 0 for a kind of edge that the mesh does not have. On a
    mesh of small triangles the two differ for a seamless texture too: compare with one of the same material.
    """
    covered = texel_points(mesh, albedo.shape[0]).filled.numpy()
    albedo = torch.from_numpy(dilated(albedo.cpu().numpy(), covered))
    left, right, inner = shared_edges(mesh)
    seam = (left - right).abs().amax((1, 2)) > SAME_UV
    inset = INSET_TEXELS / albedo.shape[0]
    sides = [
        _beside(edge, centre, inset) for edge, centre in zip((left, right), inner.unbind(1), strict=True)
    ]
    gap = (lookup(albedo, sides[0]) - lookup(albedo, sides[1])).abs().mean((1, 2))
    across, within = (float(gap[chosen].mean()) if bool(chosen.any()) else 0.0 for chosen in (seam, ~seam))
    return across, within


def shared_edges(mesh: Mesh) -> tuple[Edges, Edges, Float[Tensor, "edges 2 2"]]:
    """Edges of exactly two triangles: texture coordinates of their ends in either, and those of the middles.

    Vertices at one place count as one. The ends are in the same order on both sides.
    """
    _, place = torch.unique((mesh.v_position.cpu() / SAME_PLACE).round(), dim=0, return_inverse=True)
    triangles = mesh.t_vertex_idx.cpu().long()
    uv = mesh.v_texcoord.cpu()
    corners = torch.stack([triangles, triangles.roll(-1, 1)], dim=2).view(-1, 2)
    ends = place[corners]
    turned = ends[:, 0] > ends[:, 1]
    corners = torch.where(turned[:, None], corners.flip(1), corners)
    key = ends.amin(1) * (int(place.max()) + 1) + ends.amax(1)
    order = torch.argsort(key, stable=True)
    first = _pairs(key[order])
    a, b = order[first], order[first + 1]
    middle = uv[triangles].mean(1)
    return uv[corners[a]], uv[corners[b]], torch.stack([middle[a // 3], middle[b // 3]], dim=1)


def _pairs(key: Int[Tensor, " halves"]) -> Int[Tensor, " edges"]:
    """Where in sorted keys those begin that are there exactly twice."""
    _, counts = torch.unique_consecutive(key, return_counts=True)
    start: Tensor = counts.cumsum(0) - counts
    return start[counts == 2]


def _beside(edge: Edges, centre: Float[Tensor, "edges 2"], inset: float) -> Float[Tensor, "edges places 2"]:
    """Points along an edge, moved towards the middle of its triangle, at most halfway."""
    share = torch.tensor(ALONG).view(1, -1, 1)
    on = edge[:, :1] * (1 - share) + edge[:, 1:] * share
    away = centre[:, None] - on
    length = away.norm(dim=2, keepdim=True).clamp_min(1e-12)
    moved: Tensor = on + away * (inset / length).clamp_max(0.5)
    return moved


def lookup(albedo: Albedo, uv: Float[Tensor, "rows places 2"]) -> Float[Tensor, "rows places 3"]:
    """Bilinear values at texture coordinates, row 0 at v = 0."""
    grid = (2 * uv - 1)[None]
    values = F.grid_sample(
        albedo.permute(2, 0, 1)[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return values[0].permute(1, 2, 0)


def baked_light(mesh: Mesh, albedo: Albedo) -> float:
    """How much of the albedo's luminance a smooth function of the surface normal explains, 0 to 1.

    The share of variance that the nine spherical harmonics up to order 2 fit: what diffuse light from far
    away can do (Ramamoorthi & Hanrahan 2001). Little of a clean texture is explained so.
    """
    points, albedo = texel_points(mesh, albedo.shape[0]), albedo.cpu()
    grey = (albedo[points.filled] @ torch.tensor(LUMINANCE)).double()
    x, y, z = points.normal.double().unbind(1)
    ones = torch.ones_like(x)
    basis = torch.stack([ones, x, y, z, x * y, y * z, x * z, 3 * z.square() - 1, x.square() - y.square()], 1)
    spread = grey.var(correction=0)
    if float(spread) < 1e-12:
        return 0.0
    fit = basis @ (torch.linalg.pinv(basis) @ grey)
    return float(1 - (grey - fit).var(correction=0) / spread)


def appraised(
    judge: Judge,
    mesh: Mesh,
    light: EnvironmentLight,
    maps: TextureMaps,
    truth: TextureMaps,
    prompt: str,
) -> dict[str, float]:
    """All numbers by name; cameras are those of recognition."""
    images, wanted = (pictures_of(mesh, shown, light) for shown in (maps, truth))
    seams, inside = seam_energy(mesh, maps.albedo)
    return {
        "clip_score": clip_score(judge, images, prompt),
        "feature_distance": feature_distance(judge, images, wanted),
        "seam_energy": seams,
        "edge_energy": inside,
        "baked_light": baked_light(mesh, maps.albedo),
    }
