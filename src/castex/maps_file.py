"""Texture maps as one safetensors file: float32, linear, exactly what a renderer sees."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from castex.errors import InputError
from castex.files import tensor_bytes, write_tensors
from castex.maps import TextureMaps

CHANNELS = {"albedo": 3, "roughness": 1, "metallic": 1, "normal": 3}


def maps_bytes(maps: TextureMaps) -> bytes:
    """The content of the file, for writing it together with others."""
    return tensor_bytes({field.name: getattr(maps, field.name) for field in dataclasses.fields(maps)})


def write_maps(path: Path, maps: TextureMaps) -> None:
    """Write the four maps, atomically."""
    write_tensors(path, {field.name: getattr(maps, field.name) for field in dataclasses.fields(maps)})


def read_maps(path: Path) -> TextureMaps:
    """Read what `write_maps` wrote; InputError when the file is no such thing."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} holds no texture maps ({error}); make them again") from error
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    side = next(iter(shapes.values()), ())[:2]
    if shapes != {name: (*side, channels) for name, channels in CHANNELS.items()}:
        raise InputError(f"{path} holds {shapes or 'nothing'} instead of four maps; make them again")
    return TextureMaps(**tensors)
