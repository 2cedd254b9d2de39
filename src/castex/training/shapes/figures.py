"""Figures: mushroom, robot, duck."""

from __future__ import annotations

import numpy as np

from castex.training.shapes.chart import Part, merged, mirrored, moved, turned
from castex.training.shapes.curves import arc, facets, joined, line, smooth
from castex.training.shapes.loft import lathe, sphere, tube
from castex.training.shapes.solids import box


def mushroom() -> Part:
    """A toadstool: a bulbous stem with a skirt under a wide domed cap."""
    stem = smooth(
        (0.34, -0.96), (0.4, -0.82), (0.33, -0.56), (0.26, -0.25), (0.24, 0.1), (0.26, 0.36), steps=3
    )
    over = smooth((0.4, -0.1), (0.37, -0.03), (0.3, 0.04), (0.22, 0.08), steps=2)
    below = over[::-1] - np.array([0.0, 0.05])
    cap = arc((0, 0.28), (1.0, 0.72), 0, 90, steps=12)
    cap[-1, 0] = 0
    rim = smooth((0.86, 0.2), (0.95, 0.2), (1.0, 0.28), steps=3)
    gills = smooth((0.0, 0.42), (0.3, 0.38), (0.62, 0.28), (0.86, 0.2), steps=3)
    return merged(
        lathe(
            line((0, -1.0), (0.3, -1.0)), line((0.3, -1.0), (0.34, -0.96)), stem,
            line((0.26, 0.36), (0.26, 0.4)), line((0.26, 0.4), (0, 0.4)), around=28,
        ),
        lathe(over, line(over[-1], below[0]), below, line(below[-1], over[0]), around=28),
        lathe(gills, rim, cap, around=40),
    )  # fmt: skip


def robot() -> Part:
    """A tin robot: box head with lamps for eyes, antenna, chest panel, tube arms, block feet."""
    head = box((0.72, 0.5, 0.56), (0, 0.52, 0), 0.07)
    eyes = [moved(turned(_button(0.11, 0.07), "x", 90.0), x, 0.58, 0.28) for x in (-0.17, 0.17)]
    mouth = box((0.36, 0.08, 0.1), (0, 0.39, 0.26), 0.025)
    ear = moved(turned(_button(0.12, 0.08), "z", -90.0), 0.36, 0.52, 0)
    antenna = merged(
        lathe(*facets((0, 0.75), (0.09, 0.75), (0.04, 0.82), (0.03, 0.9), (0, 0.9)), around=14),
        moved(sphere((0.085, 0.085, 0.085), around=16, rings=8), y=0.94),
    )
    neck = lathe(*facets((0, 0.14), (0.16, 0.14), (0.16, 0.32), (0, 0.32)), around=18)
    body = box((0.96, 0.76, 0.6), (0, -0.18, 0), 0.08)
    panel = box((0.56, 0.4, 0.1), (0, -0.12, 0.29), 0.03)
    buttons = [moved(turned(_button(0.065, 0.04), "x", 90.0), x, -0.02, 0.335) for x in (-0.15, 0.0, 0.15)]
    gauge = box((0.4, 0.1, 0.06), (0, -0.2, 0.34), 0.02)
    leg = merged(
        box((0.26, 0.34, 0.3), (0.25, -0.68, 0), 0.05), box((0.36, 0.2, 0.54), (0.25, -0.9, 0.08), 0.06)
    )
    limbs = merged(leg, _arm())
    return merged(
        head,
        *eyes,
        mouth,
        ear,
        mirrored(ear),
        antenna,
        neck,
        body,
        panel,
        *buttons,
        gauge,
        limbs,
        mirrored(limbs),
    )


def _arm() -> Part:
    """A shoulder ball, a bent tube and a claw of two fingers, on the right (+X)."""
    path = smooth((0.5, 0.06, 0), (0.66, -0.02, 0), (0.72, -0.26, 0.04), (0.72, -0.44, 0.14), steps=3)
    shoulder = moved(sphere((0.15, 0.15, 0.15), around=16, rings=8), 0.54, 0.06, 0)
    hand = box((0.22, 0.14, 0.22), (0.72, -0.46, 0.15), 0.05)
    fingers = [box((0.06, 0.2, 0.12), (x, -0.58, 0.19), 0.025) for x in (0.65, 0.79)]
    return merged(shoulder, tube(path, 0.095, around=12, side=(0, 0, 1)), hand, *fingers)


def _button(radius: float, height: float) -> Part:
    """A flat cylinder with a rounded top, standing on y = 0 and rooted below it."""
    top = joined(line((radius, 0)), arc((radius - 0.02, height - 0.02), (0.02, 0.02), 0, 90, steps=3))
    side = joined(line((radius, -0.05)), top)
    return lathe(line((0, -0.05), side[0]), side, line(side[-1], (0, height)), around=18)


def duck() -> Part:
    """A rubber duck: boat-shaped body with a raised tail, round head, flat bill, wings."""
    # Centre and radius of the cross-section, from the tail to the breast.
    tail = smooth(
        (0, 0.06, -1.02, 0.03), (0, -0.08, -0.84, 0.17), (0, -0.28, -0.5, 0.42), (0, -0.38, -0.05, 0.54),
        (0, -0.37, 0.34, 0.51), steps=4,
    )  # fmt: skip
    turn = np.radians([16.0, 32.0, 48.0, 62.0, 74.0, 84.0])
    breast = np.stack([0 * turn, -0.37 + 0.05 * np.sin(turn), 0.34 + 0.5 * np.sin(turn), 0.51 * np.cos(turn)])
    spine = joined(tail, breast.T)
    body = tube(spine[:, :3], spine[:, 3], around=28, flatten=1.15, side=(1, 0, 0))
    head = moved(sphere((0.44, 0.42, 0.44), around=28, rings=14), 0, 0.36, 0.36)
    bill = moved(sphere((0.2, 0.075, 0.26), around=20, rings=8), 0, 0.28, 0.82)
    lower = moved(turned(sphere((0.15, 0.05, 0.2), around=16, rings=8), "x", 14.0), 0, 0.2, 0.78)
    eyes = [moved(sphere((0.07, 0.08, 0.05), around=14, rings=8), x, 0.46, 0.72) for x in (-0.2, 0.2)]
    wing = turned(turned(sphere((0.1, 0.22, 0.4), around=20, rings=10), "x", 16.0), "y", 8.0)
    wing = moved(wing, 0.54, -0.24, -0.12)
    return merged(body, head, bill, lower, *eyes, wing, mirrored(wing))
