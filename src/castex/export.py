"""A textured mesh as files that other programs open with the right colours: GLB, or OBJ + MTL + PNG.

Normals. The shading of this package reads a texel as T n_x + (N x T) n_y + N n_z with T along +u, everywhere
with that one handedness. glTF's bitangent is w (N x T) and points *up* the picture, against v. Seen from
outside, an ordinary triangle has u to the right and v down, so its texture coordinates (v down) have a
negative determinant and N x T is up: w = +1. Where a chart is mirrored the determinant is positive,
w = -1, and n_y changes its sign between memory and file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from castex import __version__
from castex.bake import atlas, dilated
from castex.errors import InputError
from castex.files import atomic_path, json_text, read_json, write_together
from castex.glb import Geometry, Pictures, glb_bytes
from castex.maps import TextureMaps
from castex.maps_png import encoded, map_files, packed, raster_png
from castex.mesh import Mesh
from castex.scene import Attribution

GENERATOR = f"castex {__version__}"
ATLAS = "atlas.json"
# Text formats round texture coordinates.
SAME_ATLAS = 1e-4
# Unit vectors in float32 are far better than this.
LENGTH_TOLERANCE = 1e-3
# Measured with Blender 3.4 and 5.0; in the GLB all of this is right by itself.
MTL_NOTE = (
    "# Only map_Kd is sRGB. Blender's OBJ import reads map_Pr and map_Pm as sRGB too and skips norm:\n"
    "# set both to Non-Color and add the normal map (+Y up) by hand, or open the GLB instead.\n"
)
Filled = Bool[np.ndarray, "height width"]


def export_glb(
    path: Path,
    mesh: Mesh,
    maps: TextureMaps,
    *,
    attribution: Attribution,
    provenance: Mapping[str, Any],
    filled: Filled | None = None,
) -> None:
    """Write one GLB, atomically: one atlas, one material, the author and the making inside.

    `provenance` (settings hash, seed, prompt and the like: JSON values; no time, host or path, so that equal
    inputs give equal bytes) stands in `asset.extras.castex`. `filled` marks the texels that hold a value,
    by default those that a triangle covers; the others are padding. InputError for an unusable mesh or map.
    """
    ready = portable(mesh, maps, filled)
    content = glb_file(mesh, ready, attribution=attribution, provenance=provenance)
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def export_obj(
    folder: Path,
    mesh: Mesh,
    maps: TextureMaps,
    *,
    attribution: Attribution,
    filled: Filled | None = None,
    stem: str = "textured",
) -> None:
    """Write `stem`.obj, `stem`.mtl and maps/*.png together; the arguments are those of `export_glb`."""
    ready = portable(mesh, maps, filled)
    files = map_folder(mesh, ready) | obj_files(mesh, attribution=attribution, stem=stem)
    write_together(folder, files)


def portable(mesh: Mesh, maps: TextureMaps, filled: Filled | None = None) -> TextureMaps:
    """The maps as files hold them: glTF's normals, and chart borders padded with the nearest texel.

    Padding keeps the background of the atlas out of bilinear and mip-mapped lookups.
    """
    covered = _covered(mesh, maps) if filled is None else filled
    if covered.shape != maps.albedo.shape[:2]:
        raise ValueError(f"filled is {covered.shape}, the maps are {tuple(maps.albedo.shape[:2])}")
    swapped = swapped_normals(mesh, maps)
    if not covered.any():
        return swapped
    values = torch.from_numpy(dilated(swapped.stacked().detach().cpu().float().numpy(), covered))
    return TextureMaps(values[..., :3], values[..., 3:4], values[..., 4:5], values[..., 5:])


def swapped_normals(mesh: Mesh, maps: TextureMaps) -> TextureMaps:
    """Normals from this package's frame to glTF's, or back: n_y negated where the chart is mirrored.

    Empty texels follow the nearest chart.
    """
    mirrored = mirrored_triangles(mesh)
    if not mirrored.any():
        return maps
    layout = _layout(mesh, maps)
    covered = layout.texel_triangle_idx >= 0
    flags = np.zeros((*covered.shape, 1), dtype=np.float32)
    flags[covered, 0] = mirrored[layout.texel_triangle_idx[covered]]
    flip = torch.from_numpy(dilated(flags, covered) if covered.any() else flags).to(maps.normal)
    sign = torch.cat([torch.ones_like(flip), 1 - 2 * flip.round(), torch.ones_like(flip)], dim=-1)
    return TextureMaps(maps.albedo, maps.roughness, maps.metallic, maps.normal * sign)


def mirrored_triangles(mesh: Mesh) -> Bool[np.ndarray, " triangles"]:
    """Whether each triangle is mirrored in the atlas: its texture coordinates have a positive determinant."""
    uv = mesh.v_texcoord.double()[mesh.t_vertex_idx]
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    return (d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0] > 0).cpu().numpy()


def _layout(mesh: Mesh, maps: TextureMaps) -> Any:
    height, width = maps.albedo.shape[:2]
    if height != width:
        raise InputError(f"the maps are {width} x {height} texels; resize them to a square")
    return atlas(mesh.v_texcoord.cpu().numpy(), mesh.t_vertex_idx.cpu().numpy(), height)


def _covered(mesh: Mesh, maps: TextureMaps) -> Filled:
    covered: Filled = _layout(mesh, maps).texel_triangle_idx >= 0
    return covered


def glb_file(
    mesh: Mesh, ready: TextureMaps, *, attribution: Attribution, provenance: Mapping[str, Any]
) -> bytes:
    """The bytes of the GLB for maps that `portable` made."""
    rasters = encoded(ready)
    pictures = Pictures(
        albedo=raster_png(rasters["albedo"]),
        packed=raster_png(packed(ready)),
        normal=raster_png(rasters["normal"]),
    )
    name = _line(attribution.title) or "textured"
    return glb_bytes(_geometry(mesh), pictures, name=name, asset=_asset(attribution, provenance))


def _geometry(mesh: Mesh) -> Geometry:
    _check(mesh)
    t_vertex_idx = mesh.t_vertex_idx.cpu().numpy()
    # A vertex between an ordinary and a mirrored triangle needs one tangent for each sign.
    signed = t_vertex_idx * 2 + mirrored_triangles(mesh)[:, None]
    used, corners = np.unique(signed, return_inverse=True)
    unused = np.setdiff1d(np.arange(len(mesh.v_position)), used // 2) * 2
    kept = np.concatenate([used, unused])
    order = np.argsort(kept, kind="stable")
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    source, sign = kept[order] // 2, 1.0 - 2.0 * (kept[order] % 2)
    return Geometry(
        v_position=mesh.v_position.cpu().numpy()[source],
        v_normal=mesh.v_normal.cpu().numpy()[source],
        v_tangent=np.column_stack([mesh.v_tangent.cpu().numpy()[source], sign.astype(np.float32)]),
        v_texcoord=mesh.v_texcoord.cpu().numpy()[source],
        t_vertex_idx=position[corners].reshape(t_vertex_idx.shape),
    )


def _check(mesh: Mesh) -> None:
    if not len(mesh.t_vertex_idx):
        raise InputError("the mesh has no triangle; there is nothing to export")
    for name in ("v_position", "v_texcoord"):
        if not torch.isfinite(getattr(mesh, name)).all():
            raise InputError(f"{name} of the mesh holds NaN or infinity; prepare the mesh again")
    for name in ("v_normal", "v_tangent"):
        length = getattr(mesh, name).norm(dim=1)
        if not ((length - 1).abs() < LENGTH_TOLERANCE).all():
            raise InputError(f"{name} of the mesh is not of unit length; prepare the mesh again")


def _asset(attribution: Attribution, provenance: Mapping[str, Any]) -> dict[str, Any]:
    extras: dict[str, Any] = {name: value for name, value in _facts(attribution).items() if value}
    extras["castex"] = {"version": __version__, **dict(sorted(provenance.items()))}
    asset: dict[str, Any] = {"generator": GENERATOR, "extras": extras}
    words = credit(attribution)
    # Licences that ask for the author's name ask to be told of changes as well.
    return {"copyright": f"{words}; changed with {GENERATOR}", **asset} if words else asset


def _facts(attribution: Attribution) -> dict[str, str]:
    """The keys that Objaverse's files have in `asset.extras`."""
    return {
        "title": _line(attribution.title),
        "author": _line(attribution.author),
        "license": _line(attribution.licence),
        "source": _line(attribution.source),
        "uid": _line(attribution.uid),
    }


def credit(attribution: Attribution) -> str:
    """Title, author, licence and source in one line; empty where nothing is known."""
    facts = _facts(attribution)
    author = f"by {facts['author']}" if facts["author"] else ""
    origin = facts["source"] or (f"Objaverse {facts['uid']}" if facts["uid"] else "")
    return ", ".join(part for part in (facts["title"], author, facts["license"], origin) if part)


def _line(text: str) -> str:
    """One line of valid Unicode: a title may come from a hostile file and goes into comments and JSON."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def map_folder(mesh: Mesh, ready: TextureMaps) -> dict[str, bytes]:
    """maps/*.png for maps that `portable` made, by name, and maps/atlas.json, which says for which atlas."""
    files = {f"maps/{name}": content for name, content in map_files(ready).items()}
    return {**files, f"maps/{ATLAS}": json_text(atlas_signature(mesh)).encode()}


def atlas_signature(mesh: Mesh) -> dict[str, float]:
    """Numbers that tell one layout of texture coordinates from another, whatever the order of vertices."""
    uv = mesh.v_texcoord.double()[mesh.t_vertex_idx].cpu()
    u, v = uv.unbind(-1)
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = (d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]).abs().sum() / 2
    moments = {"u": u, "v": v, "uu": u * u, "vv": v * v, "uv": u * v}
    means = {name: round(float(values.mean()), 6) for name, values in moments.items()}
    return {"triangles": float(len(uv)), "area": round(float(area), 6), **means}


def check_atlas(folder: Path, mesh: Mesh) -> None:
    """Compare the atlas of maps that `map_folder` wrote with the mesh's; maps from elsewhere say nothing.

    InputError when they differ: the texture would lie on other triangles.
    """
    if not (folder / ATLAS).is_file():
        return
    stated, own = read_json(folder / ATLAS), atlas_signature(mesh)
    same = isinstance(stated, dict) and stated.keys() == own.keys()
    if not same or any(abs(stated[name] - own[name]) > SAME_ATLAS for name in own):
        raise InputError(
            f"the maps of {folder} were made for another atlas than that of the mesh; give the GLB that was "
            "written with them, or the options of that time"
        )


def obj_files(mesh: Mesh, *, attribution: Attribution, stem: str) -> dict[str, bytes]:
    """`stem`.mtl and `stem`.obj, which use maps/*.png beside them; OBJ's v points up."""
    _check(mesh)
    words = credit(attribution)
    header = f"# {GENERATOR}\n" + (f"# {words}; changed with {GENERATOR}\n" if words else "")
    v_texcoord = mesh.v_texcoord.double().cpu().numpy() * (1, -1) + (0, 1)
    corner = mesh.t_vertex_idx.cpu().numpy() + 1
    text = io.StringIO()
    text.write(f"{header}mtllib {stem}.mtl\no textured\n")
    _rows(text, "v %.9g %.9g %.9g", mesh.v_position.cpu().numpy())
    _rows(text, "vt %.9g %.9g", v_texcoord)
    _rows(text, "vn %.9g %.9g %.9g", mesh.v_normal.cpu().numpy())
    text.write("usemtl textured\n")
    _rows(text, "f %d/%d/%d %d/%d/%d %d/%d/%d", np.repeat(corner, 3, axis=1))
    material = (
        f"{header}{MTL_NOTE}newmtl textured\nKd 1 1 1\nPr 1\nPm 1\nillum 2\n"
        "map_Kd maps/albedo.png\nmap_Pr maps/roughness.png\nmap_Pm maps/metallic.png\nnorm maps/normal.png\n"
    )
    return {f"{stem}.mtl": material.encode(), f"{stem}.obj": text.getvalue().encode()}


def _rows(text: io.StringIO, template: str, values: np.ndarray) -> None:
    np.savetxt(text, values, fmt=template)
