"""What can go wrong, as one tree.

    CastexError
    ├── InputError            something that a person gave cannot be used (also a ValueError)
    ├── WeightsError          a model folder is missing, incomplete or altered
    ├── NonFiniteGradient     score distillation produced NaN or infinity
    ├── IncompleteResults     a table was asked for rows that do not exist
    └── Unfinished            the budget of one sitting ended; the next one continues

Messages say what was wrong, the value, and what to do. The command line prints them as one sentence.
"""

from __future__ import annotations


class CastexError(Exception):
    """Base of every error that a caller may want to handle."""


class InputError(CastexError, ValueError):
    """A picture, setting or file given by a person cannot be used."""


class WeightsError(CastexError):
    """A model folder is missing, incomplete, altered or of the wrong kind."""


class NonFiniteGradient(CastexError, RuntimeError):
    """A gradient held NaN or infinity; the run stops, and its last checkpoint stays valid."""

    def __init__(self, stage: str, step: int) -> None:
        super().__init__(
            f"the {stage} gradient of step {step} holds NaN or infinity; "
            "lower `learning_rate` or check the weights, then run the command again"
        )
        self.stage = stage
        self.step = step


class IncompleteResults(CastexError):
    """A score that a table or a claim needs has no row."""


class Unfinished(CastexError):
    """A sitting's budget ended before the work did; running the same command again continues it."""
