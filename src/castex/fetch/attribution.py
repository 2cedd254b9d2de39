"""Who made an Objaverse object, and under which licence: from Objaverse's record, or from the file itself."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from castex.errors import InputError
from castex.scene import Attribution

# Objaverse records Sketchfab's short codes; its Creative Commons licences are all of version 4.0.
LICENCES = {
    f"by{suffix}": f"CC-BY{suffix.upper()}-4.0" for suffix in ("", "-sa", "-nd", "-nc", "-nc-sa", "-nc-nd")
}
LICENCES["cc0"] = "CC0-1.0"
GLB_HEADER = struct.Struct("<4sIIII")
JSON_CHUNK = 0x4E4F534A


def of_annotation(uid: str, record: Mapping[str, Any]) -> Attribution:
    """Attribution from an Objaverse annotation; empty strings where it says nothing.

    A licence code that is none of Objaverse's six is kept as it stands.
    """
    user = record.get("user")
    user = user if isinstance(user, Mapping) else {}
    code = _text(record.get("license"))
    return Attribution(
        title=_text(record.get("name")),
        author=_text(user.get("displayName")) or _text(user.get("username")),
        licence=LICENCES.get(code, code),
        source=_text(record.get("viewerUrl")) or page(uid),
        uid=uid,
    )


def page(uid: str) -> str:
    """The page of an Objaverse object on Sketchfab."""
    return f"https://sketchfab.com/3d-models/{uid}"


def of_glb(uid: str, path: Path) -> Attribution:
    """Attribution from the `asset.extras` that Sketchfab writes into its files; InputError for no GLB.

    An empty uid stands for a file that is not from there.
    """
    extras = glb_asset(path).get("extras")
    extras = extras if isinstance(extras, Mapping) else {}
    # Sketchfab appends the address of the author's page, and that of the licence, in parentheses.
    author, licence = (re.sub(r" \(https?://\S*\)$", "", _text(extras.get(k))) for k in ("author", "license"))
    return Attribution(
        title=_text(extras.get("title")),
        author=author,
        licence=licence,
        source=_text(extras.get("source")) or (page(uid) if uid else ""),
        uid=uid,
    )


def _text(value: Any) -> str:
    """One line of text, whatever stands there."""
    return " ".join(value.split())[:500] if isinstance(value, str) else ""


def glb_asset(path: Path) -> dict[str, Any]:
    """The `asset` object of a GLB file, whose header must agree with its size; InputError otherwise."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(GLB_HEADER.size)
        if len(head) < GLB_HEADER.size or not head.startswith(b"glTF"):
            raise InputError(f"{path.name} is no GLB file (it begins with {head[:12]!r}); bring it again")
        _, version, length, json_length, kind = GLB_HEADER.unpack(head)
        if version != 2 or length != size or kind != JSON_CHUNK or json_length > size - GLB_HEADER.size:
            raise InputError(f"{path.name} has {size} bytes and its header says {length}; bring it again")
        content = stream.read(json_length)
    try:
        asset = json.loads(content)["asset"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path.name} has no readable glTF header ({type(error).__name__}); bring it again"
        ) from error
    if not isinstance(asset, dict):
        raise InputError(f"{path.name} has no glTF asset header; bring it again")
    return asset
