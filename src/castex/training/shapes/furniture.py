"""Furniture: chair, table, lamp."""

from __future__ import annotations

from castex.training.shapes.chart import Part, merged, moved, turned
from castex.training.shapes.curves import arc, facets, joined, line, smooth
from castex.training.shapes.loft import lathe
from castex.training.shapes.solids import box


def chair() -> Part:
    """A kitchen chair: four legs, a thick seat, a back of two posts and three slats."""
    legs = [
        turned_leg(x, z, height=0.86, foot=-1.0, width=0.17) for x in (-0.46, 0.46) for z in (-0.42, 0.44)
    ]
    seat = box((1.2, 0.16, 1.14), (0, -0.1, 0), rounding=0.06)
    posts = [box((0.15, 1.1, 0.15), (x, 0.5, 0.0), rounding=0.04) for x in (-0.48, 0.48)]
    slats = [box((0.92, 0.2, 0.08), (0, y, 0.0), rounding=0.035) for y in (0.3, 0.6)]
    top = box((1.14, 0.28, 0.12), (0, 0.94, 0.0), rounding=0.05)
    back = moved(turned(merged(*posts, *slats, top), "x", -7.0), z=-0.48)
    rails = [box((0.8, 0.1, 0.08), (0, -0.62, 0.44), 0.03), box((0.08, 0.1, 0.8), (0.46, -0.52, 0.0), 0.03)]
    rails.append(box((0.08, 0.1, 0.8), (-0.46, -0.52, 0.0), 0.03))
    return merged(*legs, seat, back, *rails)


def turned_leg(x: float, z: float, height: float, foot: float, width: float) -> Part:
    """A square leg that spreads a little outwards."""
    leg = box((width, height, width), (0, height / 2, 0), rounding=0.035)
    leg = turned(turned(leg, "z", 2.5 if x > 0 else -2.5), "x", -2.5 if z > 0 else 2.5)
    return moved(leg, x * 1.02, foot, z * 1.02)


def table() -> Part:
    """A dining table with an apron and stout legs."""
    top = box((2.0, 0.16, 1.12), (0, 0.52, 0), rounding=0.06)
    aprons = [box((1.6, 0.2, 0.1), (0, 0.36, z), rounding=0.02) for z in (-0.41, 0.41)]
    aprons += [box((0.1, 0.2, 0.74), (x, 0.36, 0), rounding=0.02) for x in (-0.82, 0.82)]
    foot = smooth((0.07, -0.62), (0.1, -0.5), (0.07, -0.4), (0.12, 0.02), steps=3)
    leg = lathe(line((0, -0.62), (0.07, -0.62)), foot, line((0.12, 0.02), (0.0, 0.02)), around=16)
    block = box((0.26, 0.48, 0.26), (0, 0.22, 0), rounding=0.03)
    corners = [(x, z) for x in (-0.82, 0.82) for z in (-0.41, 0.41)]
    return merged(top, *aprons, *(moved(merged(leg, block), x, 0, z) for x, z in corners))


def lamp() -> Part:
    """A table lamp: a bellied ceramic base, a stem, a wide shade and a finial."""
    base = smooth((0.4, -0.98), (0.42, -0.94), (0.36, -0.88), (0.16, -0.82), steps=3)
    belly = smooth(
        (0.16, -0.82), (0.3, -0.66), (0.36, -0.46), (0.28, -0.24), (0.12, -0.1), (0.075, 0.02), steps=4
    )
    stem = line((0.075, 0.02), (0.06, 0.2), (0.06, 0.86))
    knob = arc((0, 0.94), (0.075, 0.075), -45, 90, steps=6)
    knob[-1, 0] = 0
    body = lathe(
        line((0, -1.0), (0.4, -1.0)), line((0.4, -1.0), (0.4, -0.98)), base, belly, stem,
        joined(line((0.06, 0.86)), knob), around=28,
    )  # fmt: skip
    outer = line((0.74, 0.0), (0.68, 0.16), (0.62, 0.32), (0.56, 0.48), (0.5, 0.64), (0.44, 0.8))
    inner = outer[::-1] - [0.035, 0.0]
    shade = lathe(outer, line(outer[-1], inner[0]), inner, line(inner[-1], outer[0]), around=44)
    # A closed disc carries the shade, so that nobody looks through it from above.
    disc = lathe(*facets((0, 0.73), (0.45, 0.73), (0.45, 0.76), (0, 0.76)), around=32)
    return merged(body, shade, disc)
