"""Pieces cover everything once; threads compute alone, in order, and leave the caller as it was."""

from __future__ import annotations

import threading

import torch

from castex.chunks import PIXELS, on_threads, pieces


def test_pieces_cover_everything_once():
    for total in (0, 1, PIXELS, PIXELS + 1, 3 * PIXELS):
        covered = [k for piece in pieces(total, torch.device("cpu")) for k in (piece.start, piece.stop)]
        assert covered[::2] == [0, *covered[1::2]][: len(covered) // 2] and (covered or [0])[-1] == total
    assert pieces(10 * PIXELS, torch.device("cuda")) == [slice(0, 10 * PIXELS)]


def test_threads_compute_alone_and_in_order():
    torch.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=20)

    def work(item):
        # Passes only if both run at the same time.
        meeting.wait()
        return item, torch.get_num_threads()

    assert on_threads(work, [3, 4]) == [(3, 1), (4, 1)]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert on_threads(lambda item: item, [1, 2, 3]) == [1, 2, 3]
