"""Whether recorded rows are like those that the model was made from: effect sizes, and tests with their correction.

docs/traffic.md has the formulas in words, with their sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEAST_EXPECTED = 5.0
"""Cells that expect fewer rows are pooled before a chi-square test (W. G. Cochran, Biometrics 10, 1954)."""

Vector = NDArray[np.float64]


@dataclass
class ClusteredCounts:
    """Rows by cell, and what is needed to know how alike the rows of one request are: sums over requests of squared
    counts, of counts times the request's rows, and of squared rows. `cells` is how many there are.
    """

    cells: int

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.cells)
        self.requests = 0
        self.squares = np.zeros(self.cells)
        self.cross = np.zeros(self.cells)
        self.squared_sizes = 0.0

    def add(self, request: NDArray[np.int64], cell: NDArray[np.int64]) -> None:
        """Count rows: `request` [rows] numbers their requests from 0, `cell` [rows] is where each belongs."""
        if not len(request):
            return
        width = int(request.max()) + 1
        table = np.bincount(request * self.cells + cell, minlength=width * self.cells).reshape(width, self.cells)
        table = table[table.any(axis=1)].astype(np.float64)
        sizes = table.sum(axis=1)
        self.counts += table.sum(axis=0)
        self.requests += len(table)
        self.squares += (table**2).sum(axis=0)
        self.cross += sizes @ table
        self.squared_sizes += float(sizes @ sizes)

    def merge(self, other: "ClusteredCounts") -> None:
        """Add the other's rows."""
        self.counts += other.counts
        self.requests += other.requests
        self.squares += other.squares
        self.cross += other.cross
        self.squared_sizes += other.squared_sizes

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    @property
    def effective_rows(self) -> float:
        """How many independent rows say as much as these: rows / design effect, at most the rows.

        The design effect is Rao's and Scott's first-order correction, from the variance of the cells' shares between
        requests. Where all rows are in one cell it can't be estimated, and the rows of a request count as one.
        """
        rows = self.counts.sum()
        if self.squared_sizes == rows:  # each is a request of its own
            return float(rows)
        shares = self.counts / rows
        present = shares > 0
        if present.sum() < 2 or self.requests < 2:
            return float(rows**2 / self.squared_sizes)
        residuals = self.squares - 2 * shares * self.cross + shares**2 * self.squared_sizes
        variances = residuals * self.requests / (self.requests - 1)
        effect = float((variances[present] / (rows * shares[present])).sum() / (present.sum() - 1))
        return float(rows / max(effect, 1.0))


def stability_index(reference: Vector, found: Vector) -> float:
    """The population stability index of counts by cell, half a row added to each cell: Σ (q - p) ln(q / p)."""
    p = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    q = (found + 0.5) / (found.sum() + 0.5 * len(found))
    return float(((q - p) * np.log(q / p)).sum())


def index_by_chance(cells: int, reference_rows: float, effective_rows: float) -> float:
    """What the index is on average if nothing has changed: (cells - 1) (1/n + 1/m)."""
    return (cells - 1) * (1 / max(reference_rows, 1) + 1 / max(effective_rows, 1))


def same_distribution(reference: Vector, found: Vector, effective_rows: float, *, ordered: bool) -> float:
    """The p value of counts this different or more if both have one distribution: Pearson's chi-square, two samples.

    `found` is scaled to its effective rows. Small cells are pooled: neighbours if `ordered`, else all small ones.
    """
    scaled = found * (effective_rows / found.sum())
    table = _pooled(np.stack([reference, scaled]), ordered=ordered)
    if table.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def same_rate(reference: int, reference_rows: int, found: float, rows: float, effective_rows: float) -> float:
    """The p value of rates this different or more if both are equal: Fisher's exact test on effective rows."""
    scale = effective_rows / rows
    hits, trials = round(found * scale), round(effective_rows)
    if not reference and not hits:  # as for most features' unseen categories: nothing to compare, so no time is spent
        return 1.0
    return float(stats.fisher_exact([[reference, reference_rows - reference], [hits, trials - hits]]).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values (S. Holm, Scandinavian Journal of Statistics 6, 1979): those below alpha are significant, with
    a probability of at most alpha that any one of the tests is so by chance.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors), 1.0)
    return [float(value) for value in adjusted]


def _pooled(table: Vector, *, ordered: bool) -> Vector:
    """The [2, cells] counts, pooled into cells that expect enough rows in both samples."""
    table = table[:, table.sum(axis=0) > 0]
    least = (table.sum(axis=0) * (table.sum(axis=1).min() / max(table.sum(), 1))).astype(float)
    if not ordered:
        order = np.argsort(least, kind="stable")
        table, least = table[:, order], least[order]
    groups: list[Vector] = []
    held, expected = np.zeros(2), 0.0
    for column, own in zip(table.T, least, strict=True):
        held, expected = held + column, expected + own
        if expected >= LEAST_EXPECTED:
            groups.append(held)
            held, expected = np.zeros(2), 0.0
    if expected and groups:
        groups[-1] = groups[-1] + held
    return np.stack(groups, axis=1) if groups else np.zeros((2, 0))
