"""The whole chain on one file, in its own process: load, repair, unwrap, bake, render; finite or refused.

`python hostile_chain.py FOLDER SHARED|- FIRST LAST` as in `hostile_child`. Address space is limited to two
gigabytes beyond what the imported libraries map.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

TIME_LIMIT_S = 10.0


def rendered(path: Path) -> None:
    """Everything that `castex render` does, small."""
    import torch
    from surfaces import constant_light

    from castex.maps import grey_maps
    from castex.prepare import prepare
    from castex.render import MeshRenderer
    from castex.scene_file import load_scene
    from castex.shot import fixed_shot

    made = prepare(load_scene(path), size=64, time_limit_s=TIME_LIMIT_S)
    maps = made.maps or grey_maps(64)
    image = MeshRenderer(made.mesh, constant_light(), 24)(maps, fixed_shot([20.0, 200.0], [10.0, -30.0]))
    if not torch.isfinite(image).all():
        raise ArithmeticError(f"{path.name} renders to NaN or infinity")


def confine() -> None:
    """Two gigabytes more than now."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = mapped + 2 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    from glb import good
    from hostile_child import run

    base, real, first, last = sys.argv[1:]
    # Once before the limit, so that every library is mapped.
    Path(base).mkdir(parents=True, exist_ok=True)
    rendered(good().write(Path(base) / "warm.glb"))
    confine()
    run(rendered, Path(base), None if real == "-" else Path(real), range(int(first), int(last)))
