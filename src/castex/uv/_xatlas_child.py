"""The process in which xatlas runs: `_xatlas_child IN.npz OUT.npz SECONDS MEGABYTES [PARENT]`.

xatlas is known to crash, to hang and to ask for all memory; here that ends this process alone. It ends with
its parent (on Linux at once, elsewhere by an alarm of its own).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Let the kernel kill this process when the process `parent` ends; Linux alone can."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # It may have ended before the kernel was asked.
    if os.getppid() != parent:
        sys.exit("the process that wanted the layout has ended")


def main(source: str, target: str, seconds: str, megabytes: str, parent: str = "") -> None:
    """Unwrap the mesh in `source`; write v_source_idx, t_vertex_idx and v_texcoord to `target`.

    `parent` is the process that waits; empty where none does.
    """
    if parent:
        end_with(int(parent))
    limit = int(float(megabytes) * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The default action ends the process from within the kernel, so a loop in C++ does not outlive it.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, float(seconds))

    import numpy as np
    import xatlas

    with np.load(source, allow_pickle=False) as given:
        position, triangles, resolution, padding = (
            given[name] for name in ("v_position", "t_vertex_idx", "resolution", "padding")
        )
    options = xatlas.PackOptions()
    # The side that results is about a fifth larger than what is asked for, so the padding grows with it.
    options.resolution, options.padding = int(resolution), round(1.25 * int(padding))
    options.bilinear = True
    # A quarter turn of xatlas mirrors the chart; without it all charts keep one orientation.
    options.rotate_charts = False
    charts = xatlas.ChartOptions()
    charts.fix_winding = True
    atlas = xatlas.Atlas()
    atlas.add_mesh(position, triangles)
    atlas.generate(chart_options=charts, pack_options=options)
    if atlas.atlas_count != 1:
        sys.exit(f"xatlas made {atlas.atlas_count} atlases")
    v_source_idx, t_vertex_idx, v_texcoord = atlas.get_mesh(0)
    # xatlas divides by width and height apart; texels are to stay square.
    v_texcoord = v_texcoord * (np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height))
    with Path(target).open("wb") as stream:
        np.savez(stream, v_source_idx=v_source_idx, t_vertex_idx=t_vertex_idx, v_texcoord=v_texcoord)


if __name__ == "__main__":
    main(*sys.argv[1:])
