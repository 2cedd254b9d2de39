"""What repair drops, mends and counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from glb import sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.errors import InputError
from castex.repair import repaired
from castex.scene import Material, Primitive, Scene


def scene(v_position, t_vertex_idx, **more):
    part = Primitive(np.asarray(v_position, np.float64), np.asarray(t_vertex_idx, np.int64), **more)
    return Scene((part,), (Material(),))


def ball(**more):
    v_position, t_vertex_idx, _ = sphere()
    return scene(v_position, t_vertex_idx, **more)


def test_a_good_surface_passes_unchanged():
    before = ball()
    after, report = repaired(before)
    used = np.unique(before.primitives[0].t_vertex_idx)
    assert np.array_equal(after.primitives[0].v_position, before.primitives[0].v_position[used])
    corners = [part.v_position[part.t_vertex_idx] for part in (*before.primitives, *after.primitives)]
    assert np.array_equal(*corners)
    topology = ("boundary_edges", "nonmanifold_edges", "inconsistent_edges")
    assert report["components"] == 1 and not any(report[name] for name in topology)


def test_the_seam_of_the_layout_is_no_boundary():
    """Two vertices at one place with different texture coordinates join into one for the topology."""
    _, _, v_texcoord = sphere()
    after, report = repaired(ball(v_texcoord=v_texcoord))
    assert report["boundary_edges"] == 0
    assert len(after.primitives[0].v_texcoord) == len(after.primitives[0].v_position)


def test_counts_of_each_kind_of_triangle():
    v_position = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (np.nan, 0, 0), (2, 0, 0), (0, 1, 0)]
    triangles = [
        (0, 1, 2),  # kept
        (1, 2, 0),  # the same, turned on
        (0, 1, 6),  # the same through another vertex
        (0, 2, 1),  # the back of it: kept
        (0, 1, 4),  # NaN
        (0, 1, 5),  # a line
        (3, 3, 1),  # a line
        (0, 1, 3),  # kept
    ]
    _, report = repaired(scene(v_position, triangles))
    expected = {"faces_total": 8, "faces_kept": 3, "faces_dropped_nonfinite": 1, "vertices_kept": 4}
    expected |= {"faces_dropped_degenerate": 2, "faces_dropped_duplicate": 2}
    assert {name: report[name] for name in expected} == expected


def test_topology_counts():
    square = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (5, 5, 5), (6, 5, 5), (5, 6, 5)]
    _, report = repaired(scene(square, [(0, 1, 2), (0, 2, 3), (4, 5, 6)]))
    assert (report["boundary_edges"], report["inconsistent_edges"], report["components"]) == (7, 0, 2)
    _, report = repaired(scene(square, [(0, 1, 2), (0, 3, 2)]))
    assert (report["boundary_edges"], report["inconsistent_edges"], report["components"]) == (4, 1, 1)


def test_normals_texcoords_and_colours_are_mended():
    normals, texcoords, colours = (
        np.zeros((3, 3)),
        np.array([(0.25, 0.5), (np.nan, 0), (1e9, 0)]),
        np.ones((3, 3)),
    )
    normals[1] = 0, np.inf, 0
    colours[0] = np.nan
    after, report = repaired(
        scene(
            [(0, 0, 0), (1, 0, 0), (0, 1, 0)],
            [(0, 1, 2)],
            v_normal=normals,
            v_texcoord=texcoords,
            v_color=colours,
        )
    )
    part = after.primitives[0]
    assert np.allclose(part.v_normal, [(0, 0, 1)] * 3)
    assert np.array_equal(part.v_texcoord, [(0.25, 0.5), (0, 0), (0, 0)])
    assert np.array_equal(part.v_color, np.ones((3, 3)))
    assert (report["normals_repaired"], report["texcoords_repaired"], report["colours_repaired"]) == (3, 2, 1)


def test_a_primitive_without_triangles_disappears():
    good = ball().primitives[0]
    bad = replace(good, v_position=good.v_position * np.nan)
    after, report = repaired(Scene((bad, good), (Material(),)))
    assert len(after.primitives) == 1 and report["faces_dropped_nonfinite"] == len(bad.t_vertex_idx)


@pytest.mark.parametrize(
    ("triangles", "match"),
    [([(0, 1, 9)], "vertex 9 of 3"), ([(0, 1, -1)], "vertex -1 of 3"), ([(0, 0, 0)], "point")],
)
def test_refusals(triangles, match):
    with pytest.raises(InputError, match=match):
        repaired(scene([(0, 0, 0), (1, 0, 0), (0, 1, 0)], triangles))


@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(-25, 25),
    shift=st.integers(0, 1000),
    shuffle=st.integers(0, 2**32 - 1),
    damage=st.integers(0, 9),
)
def test_counts_do_not_depend_on_scale_place_or_order(scale, shift, shuffle, damage):
    v_position, t_vertex_idx, _ = sphere()
    v_position[:damage] = np.nan
    t_vertex_idx = np.concatenate([t_vertex_idx, t_vertex_idx[:damage]])
    _, expected = repaired(scene(v_position, t_vertex_idx))
    order = np.random.default_rng(shuffle).permutation(len(t_vertex_idx))
    moved = (v_position + shift) * 10.0**scale
    _, report = repaired(scene(moved, t_vertex_idx[order]))
    assert report == expected


def test_repair_is_idempotent():
    v_position, t_vertex_idx, v_texcoord = sphere()
    v_position[20] = np.inf
    once, _ = repaired(scene(v_position, np.tile(t_vertex_idx, (2, 1)), v_texcoord=v_texcoord))
    twice, report = repaired(once)
    assert (
        report["faces_total"] == report["faces_kept"] and report["vertices_total"] == report["vertices_kept"]
    )
    assert np.array_equal(once.primitives[0].t_vertex_idx, twice.primitives[0].t_vertex_idx)
