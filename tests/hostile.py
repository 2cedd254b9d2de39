"""Broken and unkind meshes, written by rules: `CASES` by name, and `mutated` files by seed.

Whatever takes mesh files must either use each of them or refuse it with an InputError, in bounded time and
memory. A case is a function that writes its file into a folder and returns the path. `USED` and `REFUSED`
say which way loading and repairing it must go.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import hostile_json
import hostile_structure
import hostile_surfaces
import hostile_texts
import numpy as np
from glb import good, sphere
from hostile_case import Case

_KINDS = (hostile_surfaces, hostile_structure, hostile_json, hostile_texts)
USED: dict[str, Case] = {name: case for kind in _KINDS for name, case in kind.USED.items()}
REFUSED: dict[str, Case] = {name: case for kind in _KINDS for name, case in kind.REFUSED.items()}
CASES = USED | REFUSED


def mutated(seed: int, source: Path, folder: Path) -> Path:
    """A copy with seeded damage: flipped bytes, a cut, a doubled block, or digits changed in JSON."""
    rng = np.random.default_rng(seed)
    data = bytearray(source.read_bytes())
    kind = rng.integers(5)
    head = 20 + int.from_bytes(data[12:16], "little") if data[:4] == b"glTF" else len(data)
    if kind == 0:
        for place in rng.integers(0, len(data), rng.integers(1, 40)):
            data[place] = rng.integers(256)
    elif kind == 1:
        # In the first bytes, where the structure is.
        for place in rng.integers(0, min(len(data), head), rng.integers(1, 10)):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        digits = [k for k in range(20, min(head, len(data))) if 48 <= data[k] <= 57]
        for place in rng.choice(digits or [0], rng.integers(1, 6)):
            data[place] = 48 + rng.integers(10)
    elif kind == 3:
        del data[int(rng.integers(len(data))) :]
    else:
        start, end = sorted(int(place) for place in rng.integers(0, len(data), 2))
        data[start:start] = data[start : min(end, start + 4096)]
    path = folder / f"mutated_{seed}{source.suffix}"
    path.write_bytes(bytes(data))
    return path


def sources(folder: Path, shared: Path | None) -> list[Path]:
    """Good files to damage: our own in three formats, and real ones where `shared` has them."""
    folder.mkdir(parents=True, exist_ok=True)
    glb = good()
    made = [glb.write(folder / "good.glb")]
    uri = "data:application/octet-stream;base64," + base64.b64encode(bytes(glb.binary)).decode()
    text = folder / "good.gltf"
    text.write_text(json.dumps({**glb.gltf, "buffers": [{"byteLength": len(glb.binary), "uri": uri}]}))
    v_position, t_vertex_idx, _ = sphere()
    obj = folder / "good.obj"
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in v_position]
    obj.write_text("\n".join(lines + [f"f {a} {b} {c}" for a, b, c in t_vertex_idx + 1]))
    made += [text, obj]
    if shared is not None:
        made += sorted((shared / "objaverse_glb").glob("*.glb"))
    return made
