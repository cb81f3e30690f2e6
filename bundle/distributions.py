"""The distributions of a model's features and answers when it was made, as counts that reveal no single row.

Drift is measured against them. A manifest need not have them.
"""

from itertools import pairwise
from typing import Literal

import msgspec

LEAST_ROWS = 10
"""No bin and no named category has fewer rows."""

MOST_CATEGORIES = 100
"""How many categories, the most frequent ones, are counted by name; all others are counted together."""


class NumberCounts(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="numbers"):
    """Rows by intervals of a number, or of a date in days since 1970-01-01.

    `edges` ascend; they are quantiles, between 1 % and 99 %, of the values that are not missing, rounded to a
    thousandth of their span. `counts[i]` rows have a value in (`edges[i - 1]`, `edges[i]`], the first and the last
    interval being open-ended. Values and edges are compared as float32. `missing` rows have no value.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError: the parts contradict each other."""
        if len(self.counts) != len(self.edges) + 1 or min(*self.counts, self.missing) < 0:
            raise ValueError("a distribution of numbers needs counts of at least 0, one more than edges")
        if any(not low < high for low, high in pairwise(self.edges)):
            raise ValueError("the edges of a distribution must ascend")


class CategoryCounts(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="categories"):
    """Rows by category; booleans are `true` and `false`. `other` rows have a known category that is not named here.

    `unseen` is how many of the rows would have had an unseen category if they had not been among the rows that made the
    model: this many are to be expected among new rows of the same kind, and 0 would be too few (I. J. Good, "The
    population frequencies of species and the estimation of population parameters", Biometrika 40, 1953).
    """

    counts: dict[str, int]
    other: int = 0
    missing: int = 0
    unseen: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError: a count is negative."""
        if min(*self.counts.values(), self.other, self.missing, self.unseen) < 0:
            raise ValueError("a distribution needs counts of at least 0")


Counts = NumberCounts | CategoryCounts


class Distributions(msgspec.Struct, frozen=True, kw_only=True):
    """`features` are counted over `rows` training rows, or over the rows that a model was packaged with.

    The answers are those to `answered` rows: `held_out` ones, or the `rows` of the packaging. `score` is P(positive
    class), the largest probability if there are more than two classes, or a regressor's value; `labels[i]` is how often
    class i was predicted, and is empty for a regressor.
    """

    rows: int
    features: dict[str, Counts]
    answered: int
    answers_of: Literal["held_out", "rows"]
    score: NumberCounts
    labels: tuple[int, ...] = ()
