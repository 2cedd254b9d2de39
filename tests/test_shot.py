"""Cameras, the distribution of shots, the evaluation views, view words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from castex.shot import ShotSettings, evaluation_shot, fixed_shot, orbit, sample_shot, view_words
from castex.visibility import clip_matrices, pixel_rays


def draws(count, **settings):
    stream = torch.Generator().manual_seed(5)
    return [sample_shot(ShotSettings(**settings), generator=stream) for _ in range(count)]


def test_the_distribution_is_the_papers():
    shots = draws(400)
    azimuth = torch.cat([shot.azimuth for shot in shots])
    elevation = torch.cat([shot.elevation for shot in shots]).rad2deg()
    distance = torch.tensor([shot.distance for shot in shots])
    turn = torch.tensor([shot.light_rotation for shot in shots])
    background = torch.stack([shot.background for shot in shots])
    assert len(shots[0]) == 8 and shots[0].fov == 30
    for values, low, high in (
        (azimuth, 0, 2 * math.pi),
        (elevation, -60, 60),
        (distance, 2.2, 6.6),
        (turn, 0, 2 * math.pi),
        (background, 0, 1),
    ):
        span = high - low
        assert low <= values.min() < low + 0.02 * span and high - 0.02 * span < values.max() <= high
        assert abs(values.double().mean() - (low + high) / 2) < 0.05 * span
        assert abs(values.double().std() - span / math.sqrt(12)) < 0.05 * span


def test_equal_streams_draw_equal_shots_and_switches_shift_no_other_draw():
    plain = draws(3)[2]
    fixed = draws(3, rotate_light=False, random_background=False)[2]
    assert torch.equal(plain.azimuth, fixed.azimuth) and plain.distance == fixed.distance
    assert fixed.light_rotation == 0 and fixed.background.tolist() == pytest.approx([0.05] * 3)


@settings(deadline=None)
@given(azimuth=st.floats(0, 360), elevation=st.floats(-90, 90), distance=st.floats(0.5, 9))
def test_cameras_look_at_the_origin_with_up_up(azimuth, elevation, distance):
    shot = fixed_shot([azimuth], [elevation], distance=distance)
    right, up, back = shot.axes()[0]
    torch.testing.assert_close(shot.axes()[0] @ shot.axes()[0].T, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.cross(right, up), back)
    torch.testing.assert_close(shot.eyes()[0], back * distance)
    assert abs(right[1]) < 1e-12 and up[1] >= -1e-9


def test_azimuth_zero_sees_the_front_and_ninety_its_x_side():
    eyes = fixed_shot([0.0, 90.0, 0.0], [0.0, 0.0, 90.0], distance=2.0).eyes()
    expected = torch.tensor([[0, 0, 2], [2, 0, 0], [0, 2, 0]], dtype=torch.float64)
    torch.testing.assert_close(eyes, expected, atol=1e-12, rtol=0)


def test_the_twenty_evaluation_views():
    shot = evaluation_shot()
    angles = {
        (round(math.degrees(float(a))) % 360, round(math.degrees(float(e))))
        for a, e in zip(shot.azimuth, shot.elevation, strict=True)
    }
    rings = {(a, 0) for a in (45, 135, 225, 315)} | {(45 * k, e) for k in range(8) for e in (30, 60)}
    assert angles == rings and len(shot) == 20
    assert shot.fov == pytest.approx(49.13, abs=0.01) and shot.distance == 2.8


def test_an_orbit_goes_round_once():
    shot = orbit(4, elevation=10.0, start=45.0)
    torch.testing.assert_close(
        shot.azimuth.rad2deg(), torch.tensor([45.0, 135, 225, 315], dtype=torch.float64)
    )


@pytest.mark.parametrize(
    ("azimuth", "elevation", "word"),
    [
        (0, 0, "front view"),
        (44, 0, "front view"),
        (-44, 0, "front view"),
        (46, 0, "side view"),
        (180, 0, "backside view"),
        (225.5, 44, "side view"),
        (270, -44, "side view"),
        (0, 46, "top view"),
        (180, -46, "bottom view"),
    ],
)
def test_view_words_by_quadrant(azimuth, elevation, word):
    shot = fixed_shot([float(azimuth)], [float(elevation)], light_rotation=90.0)
    assert view_words(shot) == [word]


def test_the_released_code_names_the_wrong_side():
    shot = fixed_shot([0.0, 90.0, 0.0], [0.0, 0.0, 60.0], light_rotation=90.0)
    assert view_words(shot, "faithful") == ["side view", "backside view", "top view"]


def test_rays_and_clip_space_name_the_same_pixels():
    """A point on the ray through a pixel centre projects to that centre, row 0 at the top."""
    shot = fixed_shot([33.0, 250.0], [12.0, -70.0], distance=3.7, fov=41.0)
    size = 9
    rays = pixel_rays(size, shot.fov).flatten(1)
    for view, matrix in enumerate(clip_matrices(shot)):
        points = shot.eyes()[view][:, None] + 2.5 * (shot.axes()[view].T @ rays)
        clip = matrix @ torch.cat([points, torch.ones(1, size * size, dtype=torch.float64)])
        x, y, z = clip[:3] / clip[3]
        columns, rows = (x + 1) / 2 * size - 0.5, (1 - y) / 2 * size - 0.5
        expected = torch.arange(size * size, dtype=torch.float64)
        torch.testing.assert_close(rows.round() * size + columns.round(), expected)
        assert (columns - columns.round()).abs().max() < 1e-9 and z.abs().max() < 1
