"""One label, one colour and one order per method, for every exhibit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """How a method is drawn."""

    label: str
    colour: str


# The order of this table is the order of legends and columns;
# the colours are those of Okabe and Ito, safe for the colour-blind.
STYLES = {
    "pixel-explicit": Style("pixel, explicit", "#0072b2"),
    "pixel-dip": Style("pixel, DIP", "#56b4e9"),
    "latent-explicit": Style("latent, explicit", "#d55e00"),
    "latent-dip": Style("latent, DIP", "#e69f00"),
}
