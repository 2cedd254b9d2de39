"""What this machine offers: cores and memory as the container's limits leave them, and disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# A cgroup that has no limit says `max` (version 2), or a number near 2^63 (version 1).
NO_LIMIT = 1 << 60


def cores(root: Path = Path("/")) -> float:
    """Cores that this process may use: its affinity, or the share of a container where that is less."""
    free = float(len(os.sched_getaffinity(0)))
    words = _words(root / "sys/fs/cgroup/cpu.max")
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
        free = min(free, int(words[0]) / int(words[1]))
    return free


def memory_bytes(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process may use: the machine's, or its container's limit; None if unknown."""
    found = []
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            found.append(int(line.split()[1]) * 1024)
    for name in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        found += [int(word) for word in _words(root / name) if word.isdigit() and int(word) < NO_LIMIT]
    return min(found, default=None)


def free_disk_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder that may not exist yet."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
