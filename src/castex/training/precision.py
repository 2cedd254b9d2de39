"""Where mixed precision helps: on CUDA, and on CPUs that multiply bfloat16 in hardware.

oneDNN, which torch asks for convolutions, supports bfloat16 from AVX-512 on. Without it torch falls back to
loops that are some ten times slower than float32.
"""

from __future__ import annotations

import torch


def autocast(device: str | torch.device, *, wanted: bool = True) -> torch.autocast:
    """torch's autocast to bfloat16 on this kind of device, switched off where that would only cost time."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=wanted and fast_bfloat16(kind))


def fast_bfloat16(kind: str) -> bool:
    """Whether a device of this kind ("cpu" or "cuda") computes faster in bfloat16 than in float32."""
    return kind != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
