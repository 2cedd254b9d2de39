"""A house."""

from __future__ import annotations

from castex.training.shapes.chart import Part, merged, moved, turned
from castex.training.shapes.curves import facets, line
from castex.training.shapes.loft import lathe
from castex.training.shapes.solids import box, prism

WALL = 0.72
DEPTH = 1.2


def house() -> Part:
    """A cottage: gable, overhanging roof, chimney, door with step, windows on three sides."""
    gable = prism(line((-WALL, -0.8), (WALL, -0.8), (WALL, 0.1), (0, 0.74), (-WALL, 0.1)), DEPTH)
    roof = [_slope(side) for side in (-1.0, 1.0)]
    chimney = merged(
        box((0.26, 0.8, 0.26), (0.36, 0.68, -0.25), 0.0), box((0.34, 0.1, 0.34), (0.36, 1.07, -0.25), 0.02)
    )
    front = DEPTH / 2
    door = merged(
        box((0.42, 0.74, 0.1), (0, -0.43, front), 0.03),
        box((0.3, 0.6, 0.08), (0, -0.46, front + 0.04), 0.02),
        moved(_knob(), 0.1, -0.46, front + 0.1),
        box((0.6, 0.08, 0.3), (0, -0.78, front + 0.12), 0.03),
    )
    windows = [moved(_window(0.28, 0.36), x, -0.24, front) for x in (-0.46, 0.46)]
    windows.append(moved(_window(0.28, 0.28), 0, 0.28, front))
    for angle in (90.0, -90.0):
        wall = moved(_window(0.32, 0.38), 0, -0.26, WALL)
        windows += [moved(turned(wall, "y", angle), 0, 0, z) for z in (-0.28, 0.28)]
    windows += [turned(moved(_window(0.36, 0.4), x, -0.24, front), "y", 180.0) for x in (-0.34, 0.34)]
    return merged(gable, *roof, chimney, door, *windows)


def _slope(side: float) -> Part:
    """One half of the roof: a slab from the ridge down to the eaves."""
    slab = box((1.2, 0.12, DEPTH + 0.26), (0.53, 0.02, 0), 0.03)
    slab = moved(turned(slab, "z", -41.6), 0, 0.8, 0)
    return slab if side > 0 else turned(slab, "y", 180.0)


def _window(width: float, height: float) -> Part:
    """A frame with four bevelled panes and a sill; the wall is at z = 0."""
    frame = box((width + 0.1, height + 0.1, 0.12), rounding=0.0)
    sill = box((width + 0.16, 0.06, 0.2), (0, -height / 2 - 0.04, 0), 0.0)
    x, y = width / 2 - 0.025, height / 2 - 0.025
    pane = prism(line((0, 0), (x, 0), (x, y), (0, y)), 0.1, bevel=0.02)
    panes = [moved(pane, dx, dy, 0.04) for dx in (0.025, -x - 0.025) for dy in (0.025, -y - 0.025)]
    return merged(frame, sill, *panes)


def _knob() -> Part:
    knob = lathe(*facets((0, -0.03), (0.035, -0.03), (0.045, 0.0), (0.03, 0.03), (0, 0.03)), around=10)
    return turned(knob, "x", 90.0)
