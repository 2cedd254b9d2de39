"""Frames to an animated GIF, and to MP4 where ffmpeg is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

from castex.errors import InputError
from castex.files import atomic_path
from castex.picture import to_bytes
from castex.protocols import Image

COLOURS = 255
ENCODING_LIMIT_S = 600


def gif_bytes(frames: list[Image], fps: int = 20) -> bytes:
    """An endless GIF; all frames share one palette made from a few of them, so that nothing flickers."""
    from PIL import Image as Pillow

    if not frames:
        raise InputError("a film needs at least one frame")
    pictures = [Pillow.fromarray(to_bytes(frame)) for frame in frames]
    sample = pictures[:: max(len(pictures) // 4, 1)]
    strip = Pillow.new("RGB", (sum(p.width for p in sample), sample[0].height))
    for index, picture in enumerate(sample):
        strip.paste(picture, (index * picture.width, 0))
    palette = strip.quantize(COLOURS)
    reduced = [picture.quantize(palette=palette, dither=Pillow.Dither.NONE) for picture in pictures]
    buffer = io.BytesIO()
    reduced[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=reduced[1:],
        duration=round(1000 / fps),
        loop=0,
        disposal=1,
    )
    return buffer.getvalue()


def write_mp4(path: Path, frames: list[Image], fps: int = 20) -> bool:
    """Write H.264 in an MP4, atomically; False when there is no ffmpeg on this machine."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return False
    height, width = frames[0].shape[2:]
    raw = b"".join(to_bytes(frame).tobytes() for frame in frames)
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    # Players want even sides and 4:2:0.
    target = [
        "-vf",
        "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white",
        "-pix_fmt",
        "yuv420p",
        "-movflags",
        "+faststart",
    ]
    with atomic_path(path) as partial:
        command = [ffmpeg, "-y", "-loglevel", "error", *source, *target, str(partial)]
        try:
            done = subprocess.run(
                command, input=raw, capture_output=True, check=False, timeout=ENCODING_LIMIT_S
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise InputError(
                f"ffmpeg could not write {path} ({error}); the GIF holds the same frames"
            ) from error
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise InputError(f"ffmpeg could not write {path} ({reason[0]}); the GIF holds the same frames")
    return True
