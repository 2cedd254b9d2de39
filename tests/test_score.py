"""PSNR from its definition."""

from __future__ import annotations

import math

import pytest
import torch

from castex.score import PSNR_CEILING_DB, psnr


@pytest.mark.parametrize("difference", [0.5, 0.1, 1e-3, 4e-8])
def test_constant_difference(difference):
    """-20 log10(d); 4e-8, the paper's 148.02 dB, needs float64 inside."""
    reference = torch.full((1, 3, 8, 8), 0.25)
    picture = reference.double() + difference
    expected = -20 * math.log10(difference)
    assert psnr(picture.float() if difference > 1e-6 else picture, reference) == pytest.approx(
        expected, rel=1e-4
    )


def test_equal_pictures_have_a_finite_score():
    assert psnr(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4)) == PSNR_CEILING_DB


def test_what_cannot_be_shown_is_not_counted():
    assert psnr(torch.full((1, 3, 4, 4), 1.5), torch.ones(1, 3, 4, 4)) == PSNR_CEILING_DB


def test_uniform_noise_against_grey():
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert psnr(noise, torch.full_like(noise, 0.5)) == pytest.approx(10 * math.log10(12), abs=0.05)
