"""How far apart two answers to the same row may be, wherever answers are compared."""

from bundle.manifest import Manifest

PROBABILITY_TOLERANCE = 1e-6
"""Largest |difference| of a probability, unless the bundle was made with a larger tolerance. Pickle and graph add the
leaves of the trees as float32 in different orders: about 3e-7 is rounding."""

VALUE_TOLERANCE = 1e-5
"""Largest |difference| of a regressor's value, divided by `value_scale`."""


def tolerance_of(manifest: Manifest) -> float:
    """The largest difference allowed: of a probability, or of a value relative to its scale."""
    if manifest.task == "regression":
        return VALUE_TOLERANCE
    return max(PROBABILITY_TOLERANCE, manifest.parity.tolerance if manifest.parity else 0.0)


def value_scale(expected: float) -> float:
    """What a difference from the expected value is divided by: the value's size, but no less than 1."""
    return max(1.0, abs(expected))
