"""Small meshes that the tests of the UV half share."""

from __future__ import annotations

import numpy as np

from castex.scene import Material, Primitive, Scene


def icosphere(subdivisions):
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions)
    return ball.vertices.astype(np.float32), ball.faces.astype(np.int64)


def grid(cells):
    """The unit square as 2 cells^2 triangles; positions (u, -v, 0), so it faces +Z and is not mirrored."""
    line = np.linspace(0, 1, cells + 1)
    u, v = np.meshgrid(line, line)
    uv = np.stack([u.ravel(), v.ravel()], 1).astype(np.float32)
    corner = np.arange(cells * (cells + 1)).reshape(cells, cells + 1)[:, :cells].ravel()
    down, next_ = cells + 1, 1
    triangles = np.concatenate(
        [
            np.stack([corner, corner + down, corner + down + next_], 1),
            np.stack([corner, corner + down + next_, corner + next_], 1),
        ]
    )
    return uv, triangles, np.stack([u.ravel(), -v.ravel(), 0 * u.ravel()], 1).astype(np.float32)


def islands(count, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.random((count, 1, 3)) + 0.01 * rng.standard_normal((count, 3, 3))
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count).reshape(-1, 3)


def spiral(turns=6, steps=400):
    """A ramp that goes round and round: every projection along its axis covers itself."""
    angle = np.linspace(0, 2 * np.pi * turns, steps)
    rings = [np.stack([r * np.cos(angle), 0.03 * angle, r * np.sin(angle)], 1) for r in (0.3, 1.0)]
    k = np.arange(steps - 1)
    faces = [np.stack([k, k + 1, k + steps], 1), np.stack([k + 1, k + steps + 1, k + steps], 1)]
    return np.concatenate(rings).astype(np.float32), np.concatenate(faces)


def square_scene(material=None, cells=3, **changes):
    """A textured square as a scene of one primitive."""
    uv, triangles, position = grid(cells)
    part = {"v_position": position, "t_vertex_idx": triangles, "v_texcoord": uv} | changes
    return Scene((Primitive(**part),), (material or Material(),))


def check_unwrapped(made, position, triangles, *, most_overlap=0.005):
    """What every layout must be: the same faces, inside [0, 1], one point of the surface per texel."""
    from castex.uv.report import uv_report

    assert np.array_equal(made.v_source_idx[made.t_vertex_idx], triangles[made.t_source_idx])
    assert np.array_equal(np.sort(made.t_source_idx), np.arange(len(triangles)))
    assert np.isfinite(made.v_texcoord).all()
    assert made.v_texcoord.min() >= 0 and made.v_texcoord.max() <= 1
    report = uv_report(made.v_texcoord, made.t_vertex_idx, position[made.v_source_idx])
    assert report["overlap"] <= most_overlap, report
    assert report["flipped"] <= 0.001, report
    return report
