"""How the documentation writes numbers and versions."""

import re

from experiments.report.markers import Figure
from load_testing.report import figure

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def significant(value: float) -> Figure:
    """Three significant digits, whatever the size."""
    return Figure(value, rounded(value))


def rounded(value: float) -> str:
    """Three significant digits: 53.8 and 5,960."""
    return figure(float(f"{value:.3g}"))


def whole(value: float) -> Figure:
    """No decimals."""
    return Figure(value, f"{value:,.0f}")


def percent(share: float) -> Figure:
    """A share as a whole percentage."""
    return Figure(share, f"{100 * share:.0f} %")


def kernel(system: str) -> str:
    """`Linux 6.18` of `Linux 6.18.44-cloud`."""
    return re.sub(r"(\d+\.\d+)\S*", r"\1", system, count=1)


def count(number: int, what: str) -> str:
    """`one core`, `two cores`, `12 cores`."""
    word = _WORDS[number] if number < len(_WORDS) else f"{number:,}"
    return f"{word} {what}" if number == 1 else f"{word} {what}s"
