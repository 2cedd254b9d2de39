"""The mesh: normalisation, vertex normals, tangent frames, its file."""

from __future__ import annotations

import pytest
import torch
from surfaces import sphere

from castex.errors import InputError
from castex.mesh import normalised, read_mesh, vertex_normals, vertex_tangents, with_tangents, write_mesh

QUAD = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
UP = torch.tensor([[0.0, 0, 1]]).expand(4, 3).contiguous()


def tangents(texcoord, normal=UP):
    return vertex_tangents(QUAD, normal, torch.tensor(texcoord), FACES)


def test_tangents_follow_u_whatever_v_does():
    """u to the right, v down; the same with v up; u and v exchanged; sheared; mirrored."""
    right, upwards = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0])
    torch.testing.assert_close(tangents([[0.0, 1], [1, 1], [1, 0], [0, 0]]), right.expand(4, 3))
    torch.testing.assert_close(tangents([[0.0, 0], [1, 0], [1, 1], [0, 1]]), right.expand(4, 3))
    torch.testing.assert_close(tangents([[0.0, 0], [0, 1], [1, 1], [1, 0]]), upwards.expand(4, 3))
    torch.testing.assert_close(tangents([[1.0, 1], [0, 1], [0, 0], [1, 0]]), -right.expand(4, 3))
    # u = x, v = x + y: moving along constant v with growing u goes right and down.
    slanted = torch.tensor([1.0, -1, 0]) / 2**0.5
    torch.testing.assert_close(tangents([[0.0, 0], [1, 1], [1, 2], [0, 1]]), slanted.expand(4, 3))


def test_tangents_are_unit_and_orthogonal_to_bent_normals():
    bent = torch.nn.functional.normalize(torch.tensor([[0.6, 0.1, 1.0]]), dim=1).expand(4, 3).contiguous()
    found = tangents([[0.0, 1], [1, 1], [1, 0], [0, 0]], bent)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    assert (found * bent).sum(1).abs().max() < 1e-6 and (found[:, 0] > 0.5).all()


def test_no_texture_area_still_gives_a_frame():
    found = tangents([[0.5, 0.5]] * 4)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    assert (found * UP).sum(1).abs().max() < 1e-6


def test_vertex_normals_are_weighted_by_area_and_shared_over_seams():
    """A large face up and a small one sideways; the edge's vertices stand twice, as at a seam."""
    position = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 0], [0, 2, 0], [0, 0, -1]])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    found = vertex_normals(position, faces)
    torch.testing.assert_close(found[1], torch.tensor([0.0, 0, 1]))
    expected = torch.nn.functional.normalize(torch.tensor([-2.0, 0, 4]), dim=0)
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[0], found[3])
    ball = sphere(24, 24)
    towards = (vertex_normals(ball.v_position, ball.t_vertex_idx) * ball.v_position).sum(1)
    # The last vertex belongs to no face.
    assert (towards[ball.t_vertex_idx.unique()] > 0.99).all()


def test_a_vertex_without_area_points_up():
    flat = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    torch.testing.assert_close(
        vertex_normals(flat, torch.tensor([[0, 1, 2]])), torch.tensor([[0.0, 1, 0]]).expand(3, 3)
    )


def test_normalised_centres_the_box_and_keeps_the_shape_far_away():
    far = torch.tensor([[1e6, 0.0, 0.0], [1e6 + 4, 1.0, 0.0], [1e6, 2.0, 3.0]])
    found = normalised(far)
    torch.testing.assert_close(found.amax(0) + found.amin(0), torch.zeros(3))
    torch.testing.assert_close(found.amax(0) - found.amin(0), torch.tensor([2.0, 1.0, 1.5]))
    with pytest.raises(InputError, match="longest side is 0"):
        normalised(torch.ones(3, 3))


def test_a_mesh_survives_its_file(tmp_path):
    mesh = with_tangents(QUAD, UP, torch.rand(4, 2, generator=torch.Generator().manual_seed(0)), FACES)
    write_mesh(tmp_path / "mesh.safetensors", mesh)
    again = read_mesh(tmp_path / "mesh.safetensors")
    assert torch.equal(again.v_tangent, mesh.v_tangent) and torch.equal(again.t_vertex_idx, FACES)
    (tmp_path / "no.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match="no prepared mesh"):
        read_mesh(tmp_path / "no.safetensors")
