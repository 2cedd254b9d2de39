"""Things turned on a lathe: vase, mug, bowl, bottle, teapot, barrel."""

from __future__ import annotations

import numpy as np

from castex.training.shapes.chart import Part, merged, mirrored
from castex.training.shapes.curves import Curve, arc, facets, joined, line, offset, smooth
from castex.training.shapes.loft import lathe, tube


def vessel(outer: Curve, wall: float, floor: float, around: int = 36) -> Part:
    """An open vessel: the outer profile from foot to lip, a round rim, an inner wall and a floor.

    `wall` is the thickness, `floor` the height of the floor inside.
    """
    inner = offset(outer, wall)
    middle = (outer[-1] + inner[-1]) / 2
    across = outer[-1] - middle
    upward = np.array([-across[1], across[0]])
    angles = np.radians([0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0])[:, None]
    rim = middle + np.cos(angles) * across + np.sin(angles) * upward
    inner = inner[::-1]
    low = int(np.argmax(inner[:, 1] < floor))
    share = (inner[low - 1, 1] - floor) / (inner[low - 1, 1] - inner[low, 1])
    end = inner[low - 1] + share * (inner[low] - inner[low - 1])
    bottom = line((0, outer[0, 1]), (outer[0, 0] * 0.5, outer[0, 1]), (outer[0, 0], outer[0, 1]))
    base = line((end[0], floor), (end[0] * 0.5, floor), (0, floor))
    return lathe(
        bottom,
        joined(outer, rim[:4]),
        joined(rim[3:], inner[1:low:2], end[None]),
        base,
        around=around,
    )


def vase() -> Part:
    """A bellied vase with a narrow neck and a flared lip."""
    outer = smooth(
        (0.36, -1.0),
        (0.4, -0.93),
        (0.37, -0.85),
        (0.62, -0.45),
        (0.7, -0.08),
        (0.55, 0.3),
        (0.31, 0.56),
        (0.29, 0.72),
        (0.38, 0.88),
        (0.49, 0.96),
        steps=3,
    )
    return vessel(outer, wall=0.06, floor=-0.9, around=36)


def mug() -> Part:
    """A mug whose handle points to the right."""
    outer = joined(
        arc((0.54, -0.66), (0.1, 0.1), -90, 0, steps=4), line((0.64, -0.2), (0.64, 0.3), (0.64, 0.72))
    )
    handle = smooth(
        (0.58, 0.46, 0), (0.8, 0.52, 0), (1.04, 0.42, 0), (1.15, 0.05, 0), (1.05, -0.28, 0), (0.82, -0.44, 0),
        (0.58, -0.46, 0),
        steps=3,
    )  # fmt: skip
    return merged(
        vessel(outer, wall=0.09, floor=-0.64, around=40), tube(handle, 0.1, around=14, flatten=1.35)
    )


def bowl() -> Part:
    """A wide bowl on a foot ring."""
    foot = line((0.42, -0.5), (0.45, -0.47), (0.43, -0.38))
    side = smooth((0.43, -0.38), (0.7, -0.25), (0.9, 0.02), (1.0, 0.42), steps=5)
    return vessel(joined(foot, side), wall=0.08, floor=-0.3, around=44)


def bottle() -> Part:
    """A corked wine bottle."""
    body = joined(
        arc((0.34, -0.9), (0.1, 0.1), -90, 0, steps=4),
        line((0.44, -0.5), (0.44, 0.06)),
        smooth((0.44, 0.06), (0.41, 0.22), (0.26, 0.38), (0.17, 0.52), (0.155, 0.68), steps=4),
        line((0.155, 0.8)),
    )
    lip = smooth((0.155, 0.8), (0.2, 0.81), (0.21, 0.86), (0.2, 0.91), (0.16, 0.92), steps=3)
    cork = line((0.13, 0.92), (0.14, 1.0))
    return lathe(
        line((0, -1.0), (0.34, -1.0)),
        body,
        lip,
        line((0.16, 0.92), (0.13, 0.92)),
        cork,
        line((0.14, 1.0), (0, 1.0)),
        around=36,
    )


def teapot() -> Part:
    """A round teapot: spout to the right, handle to the left, a lid with a knob."""
    belly = smooth((0.44, -0.62), (0.68, -0.45), (0.78, -0.1), (0.66, 0.26), (0.42, 0.44), steps=4)
    collar = smooth((0.42, 0.44), (0.46, 0.47), (0.46, 0.51), (0.41, 0.52), steps=2)
    lid = smooth((0.41, 0.52), (0.3, 0.62), (0.14, 0.69), (0.08, 0.72), steps=3)
    knob = smooth((0.08, 0.72), (0.08, 0.76), (0.15, 0.84), (0.11, 0.93), (0.0, 0.96), steps=3)
    knob[-1, 0] = 0
    foot = facets((0, -0.68), (0.42, -0.68), (0.44, -0.62))
    body = lathe(*foot, belly, collar, lid, knob, around=36)
    # Centre and radius of the cross-section.
    spout = smooth(
        (0.5, -0.34, 0, 0.25), (0.76, -0.28, 0, 0.2), (0.9, -0.06, 0, 0.15), (0.96, 0.2, 0, 0.12),
        (1.16, 0.4, 0, 0.1), steps=4,
    )  # fmt: skip
    handle = smooth(
        (0.6, 0.3, 0), (0.8, 0.42, 0), (1.02, 0.34, 0), (1.09, 0.06, 0), (0.98, -0.2, 0), (0.66, -0.34, 0),
        steps=3,
    )  # fmt: skip
    return merged(
        body,
        tube(spout[:, :3], spout[:, 3], around=14, ends="round"),
        mirrored(tube(handle, 0.085, around=12, flatten=1.25)),
    )


def barrel() -> Part:
    """A cask with bulging staves, four hoops and lids that lie a little inside."""
    height = np.linspace(-1.0, 1.0, 31)

    def radius(y: float) -> float:
        """Of the staves at a height."""
        return 0.62 + 0.18 * float(np.cos(np.pi / 2 * 0.98 * y))

    runs = facets((0, -0.94), (0.55, -0.94), (0.57, -1.0), (radius(-1.0), -1.0))
    hoops = ((-0.98, -0.82), (-0.46, -0.3), (0.3, 0.46), (0.82, 0.98))
    at = -1.0
    for low, high in (*hoops, (1.0, 1.0)):
        between = [y for y in height if at + 0.02 < y < low - 0.02]
        runs.append(np.array([(radius(y), y) for y in (at, *between, low)]))
        if low == high:
            break
        out = 0.035
        runs += [
            line((radius(low), low), (radius(low) + out, low)),
            np.array([(radius(y) + out, y) for y in np.linspace(low, high, 3)]),
            line((radius(high) + out, high), (radius(high), high)),
        ]
        at = high
    runs += facets((radius(1.0), 1.0), (0.57, 1.0), (0.55, 0.94), (0, 0.94))
    return lathe(*runs, around=36)
