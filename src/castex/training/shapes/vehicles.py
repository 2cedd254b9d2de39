"""Things that travel: rocket, boat, car."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from castex.training.shapes.chart import Part, merged, mirrored, moved, turned
from castex.training.shapes.curves import arc, facets, joined, line, smooth
from castex.training.shapes.loft import lathe, loft, tube
from castex.training.shapes.solids import box, prism, sheet


def rocket() -> Part:
    """A cartoon rocket: ogive body, four swept fins, nozzle, portholes at the front."""
    hull = smooth(
        (0.26, -0.72),
        (0.36, -0.4),
        (0.4, -0.05),
        (0.37, 0.3),
        (0.27, 0.62),
        (0.13, 0.88),
        (0.0, 1.04),
        steps=4,
    )
    hull[-1, 0] = 0
    body = lathe(line((0, -0.72), (0.26, -0.72)), hull, around=36)
    nozzle = lathe(
        *facets((0, -0.92), (0.27, -0.92), (0.2, -0.8), (0.18, -0.68), (0, -0.68)),
        around=28,
    )
    outline = joined(
        line((0.2, -0.62)),
        smooth((0.2, -0.62), (0.46, -0.8), (0.58, -0.98), steps=4),
        smooth((0.68, -0.98), (0.7, -0.7), (0.6, -0.36), (0.36, -0.06), steps=4),
        line((0.2, -0.1)),
    )
    fin = prism(outline, 0.12, bevel=0.03)
    fins = [turned(fin, "y", angle) for angle in (45.0, 135.0, 225.0, 315.0)]
    ports = [_porthole(y, radius) for y, radius in ((0.3, 0.15), (-0.12, 0.12))]
    return merged(body, nozzle, *fins, *ports)


def _porthole(y: float, radius: float) -> Part:
    """A ring with a bulging pane that looks to the front."""
    ring = joined(
        line((radius, -0.12), (radius, -0.1)),
        arc((radius, 0.0), (0.045, 0.045), -60, 180, steps=8),
        line((radius - 0.045, -0.02)),
    )
    pane = arc((0, -0.03), (radius - 0.03, 0.05), 0, 90, steps=3)
    pane[-1, 0] = 0
    port = lathe(line((0, -0.12), (radius, -0.12)), ring, joined(ring[-1:], pane), around=24)
    return moved(turned(port, "x", 90.0), 0, y, float(0.4 - 0.1 * abs(y)))


def boat() -> Part:
    """A sailing dinghy, bow to the front, its sails swung out so that no view sees them edge-on."""
    mast = moved(lathe(*facets((0, -0.5), (0.05, -0.5), (0.035, 1.1), (0, 1.12)), around=12), z=0.12)
    bench = [box((0.74, 0.06, 0.18), (0, -0.44, z), 0.02) for z in (-0.5, 0.35)]
    main = moved(_sail(0.95, 1.2, 0.16, 0.12), 0.04, -0.18)
    jib = moved(mirrored(_sail(0.6, 0.95, 0.1, 0.0)), -0.04, -0.2)
    sails = [moved(turned(main, "y", 62.0), z=0.1), moved(turned(jib, "y", 62.0), z=0.18)]
    boom = tube(line((0, -0.24, 0), (0.5, -0.26, 0), (1.0, -0.27, 0)), 0.035, around=10)
    return merged(_hull(), mast, *bench, *sails, moved(turned(boom, "y", 62.0), z=0.1))


def _hull() -> Part:
    """An open hull: rings are outlines seen from above, from the keel over the gunwale to the floor."""
    levels = ((0.02, -1.0), (0.35, -0.97), (0.62, -0.86), (0.82, -0.68), (0.94, -0.48), (1.0, -0.3))
    outer = [_outline(scale, y) for scale, y in levels]
    keel = np.broadcast_to(outer[0].mean(0), outer[0].shape)
    top = _outline(1.0, -0.26)
    lip = _outline(0.9, -0.26)
    inner = [lip, _outline(0.86, -0.45), _outline(0.8, -0.56)]
    floor = np.broadcast_to(inner[-1].mean(0), lip.shape)
    return loft(
        np.stack([keel, *outer[1:]]),
        np.stack([outer[-1], top]),
        np.stack([top, lip]),
        np.stack(inner),
        np.stack([inner[-1], (inner[-1] + floor) / 2, floor]),
    )


def _outline(scale: float, y: float) -> Float[np.ndarray, "around 3"]:
    """A pointed bow (+Z), a rounded stern; higher rings reach further forward."""
    turn = 2 * np.pi * np.arange(40) / 40 - np.pi
    x, z = np.sin(turn), np.cos(turn)
    width = 0.5 * np.where(z > 0, np.abs(x) ** 1.35, np.abs(x) ** 0.8) * np.sign(x)
    length = np.where(z > 0, 1.02 * z, -0.86 * np.abs(z) ** 0.75)
    return np.stack([width * scale, np.full(40, y), length * scale + 0.12 * (y + 0.6) * (z > 0) * z], axis=1)


def _sail(foot: float, luff: float, belly: float, roach: float) -> Part:
    """Cloth with wind in it: `foot` wide, `luff` high, bulging to +z, `roach` beyond a straight leech."""
    up = np.linspace(0, 1, 11)[:, None]
    across = np.linspace(0, 1, 9)[None, :]
    width = foot * (1 - up) + 0.06 * up + roach * np.sin(np.pi * up)
    x = across * width
    y = luff * up + 0.04 * (1 - up) * across
    z = belly * np.sin(np.pi * across) * np.sin(np.pi * (0.12 + 0.8 * up)) * width / foot
    return sheet(np.stack(np.broadcast_arrays(x, y, z), axis=-1), 0.03)


def car() -> Part:
    """A toy car, bonnet to the front, four fat wheels, windows and lamps as geometry."""
    body = joined(
        arc((-0.86, -0.2), (0.12, 0.12), 180, 270, steps=4),
        arc((0.86, -0.2), (0.12, 0.12), 270, 360, steps=4),
        arc((0.76, -0.02), (0.22, 0.2), 0, 90, steps=5),
        line((0.42, 0.22), (-0.7, 0.22)),
        arc((-0.8, 0.04), (0.18, 0.18), 90, 180, steps=5),
    )
    cabin = joined(
        line((-0.78, 0.18), (0.5, 0.18)),
        arc((0.12, 0.5), (0.14, 0.14), 35, 90, steps=4),
        arc((-0.5, 0.48), (0.16, 0.16), 90, 160, steps=4),
    )
    wheels = [moved(_wheel(), 0.5, -0.32, z) for z in (-0.58, 0.58)]
    lamps = [moved(turned(_disc(0.12, 0.07), "x", 90.0), x, 0.02, 0.97) for x in (-0.3, 0.3)]
    bumpers = [box((1.06, 0.13, 0.12), (0, -0.22, z), 0.05) for z in (-0.98, 1.0)]
    side = line((0.36, 0.24), (0.16, 0.52), (-0.12, 0.52), (-0.12, 0.24))
    rear = line((-0.22, 0.24), (-0.22, 0.52), (-0.54, 0.52), (-0.66, 0.24))
    windows = [prism(outline, 0.92, axis="x", bevel=0.025) for outline in (side, rear)]
    shield = box((0.68, 0.4, 0.06), rounding=0.02)
    screens = [moved(turned(shield, "x", a), 0, 0.38, z) for a, z in ((-39.0, 0.345), (20.0, -0.7))]
    return merged(
        prism(body, 1.02, axis="x", bevel=0.06), prism(cabin, 0.86, axis="x", bevel=0.05),
        *wheels, *(mirrored(wheel) for wheel in wheels), *lamps, *bumpers, *windows, *screens,
    )  # fmt: skip


def _wheel() -> Part:
    tyre = joined(
        line((0, -0.12), (0.14, -0.12), (0.16, -0.14)),
        arc((0.22, -0.08), (0.06, 0.06), -90, 0, steps=3),
        arc((0.22, 0.08), (0.06, 0.06), 0, 90, steps=3),
        line((0.16, 0.14), (0.14, 0.1), (0.1, 0.1)),
        arc((0, 0.1), (0.1, 0.05), 0, 90, steps=3),
    )
    tyre[-1, 0] = 0
    return turned(lathe(tyre[:2], tyre[1:3], tyre[2:-6], tyre[-7:], around=24), "z", -90.0)


def _disc(radius: float, depth: float) -> Part:
    dome = arc((0, 0), (radius, depth), 0, 90, steps=4)
    dome[-1, 0] = 0
    return lathe(line((0, -0.08), (radius, -0.08)), line((radius, -0.08), (radius, 0)), dome, around=18)
