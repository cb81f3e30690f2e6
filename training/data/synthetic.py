"""The embedded synthetic data: rows drawn from compact statistics, for when the real files are unavailable.

`fit_synthetic` makes the statistics. They hold, per feature, its bins, how often each occurs given up to two
other features (a Bayesian network), and what each adds to the target's log-odds. Frequencies are refined level by
level: a table gives its well-filled cells, and the rest is divided as in the table before it.
"""

from collections.abc import Mapping, Sequence
from math import prod

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.dataset import Dataset, FeatureSpec, Numeric, Ordinal
from training.errors import DataError

Codes = NDArray[np.int64]  # [rows]: the bin of each row
Floats = NDArray[np.float64]
Bin = str | float | tuple[float, float] | None  # a category, a number, a range with both its ends, or missing

SHARE_UNIT = 1000  # shares are stored as whole thousandths, log-odds as whole hundredths: short, and precise enough
LOGIT_UNIT = 100


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature in the network. Its `parents` are features of earlier nodes; `log_odds` is what each bin adds.

    `tables[n]` holds shares of the bins given the first n parents: context (their bins, as one index) to
    `[bin, share, bin, share, ...]`. Bins that a context doesn't list follow `tables[n - 1]`.
    """

    feature: str
    bins: list[Bin]
    log_odds: list[int]
    parents: list[str]
    tables: list[dict[int, list[int]]]


class Statistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is kept of a data set. `log_odds`, of the second class, is where each row starts before its bins add."""

    target: str
    classes: tuple[str, str]
    log_odds: int
    network: list[Node]


def synthesize(dataset: Dataset, rows: int, seed: int) -> pl.DataFrame:
    """`rows` rows as `dataset.parse` gives them: the features in order, then the target. Same seed, same rows.

    Raises:
        DataError: the statistics file is missing, is not valid, or was fitted to another schema.
    """
    statistics = load_statistics(dataset)
    generator = np.random.default_rng(seed)
    bins = {node.feature: node.bins for node in statistics.network}
    sizes = {name: len(values) for name, values in bins.items()}
    codes: dict[str, Codes] = {}
    for node in statistics.network:
        codes[node.feature] = _draw(conditional_shares(node, sizes), cells(codes, node.parents, sizes, rows), generator)
    columns = [_column(feature, bins[feature.name], codes[feature.name], generator) for feature in dataset.features]
    odds = np.full(rows, float(statistics.log_odds))
    for node in statistics.network:
        odds += np.array(node.log_odds)[codes[node.feature]]
    chances = (1 + np.tanh(odds / LOGIT_UNIT / 2)) / 2  # the logistic function, in a form that can't overflow
    positive = (generator.random(rows) < chances).astype(np.int64)
    return pl.DataFrame([*columns, pl.Series(dataset.target, dataset.classes, dtype=pl.String).gather(positive)])


def load_statistics(dataset: Dataset) -> Statistics:
    """The statistics of `dataset`, checked against its schema.

    Raises:
        DataError: as `synthesize`.
    """
    path = dataset.synthetic_statistics
    if path is None:
        raise DataError(f"{dataset.name} has no synthetic statistics")
    try:
        statistics = msgspec.json.decode(path.read_bytes(), type=Statistics)
        check_statistics(dataset, statistics)
    except OSError as error:
        raise DataError(f"{path.name}: the synthetic statistics can't be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(f"{path.name}: not the synthetic statistics of {dataset.name}: {error}") from error
    return statistics


def check_statistics(dataset: Dataset, statistics: Statistics) -> None:
    """Raises ValueError, naming the part, where the statistics don't fit the data set or contradict themselves."""
    if (statistics.target, statistics.classes) != (dataset.target, dataset.classes):
        raise ValueError(f"they are of the target {statistics.target!r} with the classes {statistics.classes}")
    features = {feature.name: feature for feature in dataset.features}
    names = [node.feature for node in statistics.network]
    if sorted(names) != sorted(features):
        raise ValueError(f"other features: {sorted(set(names) ^ set(features)) or 'one is there twice'}")
    sizes: dict[str, int] = {}
    for node in statistics.network:
        if not set(node.parents) <= set(sizes):
            raise ValueError(f"{node.feature}: parents must come before it: {node.parents}")
        unfit = [value for value in node.bins if not _fits(features[node.feature], value)]
        if unfit or not node.bins or len(node.log_odds) != len(node.bins):
            raise ValueError(f"{node.feature}: {len(node.bins)} bins, {len(node.log_odds)} log-odds, unfit: {unfit}")
        sizes[node.feature] = len(node.bins)
        _check_tables(node, sizes)


def _fits(feature: FeatureSpec, value: Bin) -> bool:
    """Whether `feature` may take all values of a bin; msgspec has refused NaN and infinity already."""
    if value is None:
        return feature.nullable
    if not isinstance(feature, Numeric):
        return isinstance(value, str) and (not isinstance(feature, Ordinal) or value in feature.categories)
    if isinstance(value, str):
        return False
    low, high = value if isinstance(value, tuple) else (value, value)
    return low <= high and not (feature.integer and (low % 1 or high % 1))


def _check_tables(node: Node, sizes: Mapping[str, int]) -> None:
    if len(node.tables) != len(node.parents) + 1:
        raise ValueError(f"{node.feature}: {len(node.tables)} tables for {len(node.parents)} parents")
    for level, table in enumerate(node.tables):
        contexts = prod(sizes[parent] for parent in node.parents[:level])
        for context, entries in table.items():
            bins, shares = entries[::2], entries[1::2]
            whole = len(bins) == len(shares) == len(set(bins)) and set(bins) <= set(range(len(node.bins)))
            if not whole or not 0 <= context < contexts or min(shares, default=0) < 0 or not any(shares):
                raise ValueError(f"{node.feature}: table {level}, context {context}: not pairs of a bin and its share")


def conditional_shares(node: Node, sizes: Mapping[str, int]) -> Floats:
    """[contexts, bins]: the share of each bin given the parents' bins; rows sum to 1."""
    shares = np.full((1, len(node.bins)), 1 / len(node.bins))
    for table, size in zip(node.tables, [1, *(sizes[parent] for parent in node.parents)], strict=True):
        shares = refine(np.repeat(shares, size, axis=0), table)
    return shares


def refine(shares: Floats, table: Mapping[int, Sequence[int]]) -> Floats:
    """[contexts, bins]: `shares` with what `table` says; the other bins of a context keep their proportions."""
    refined = shares.copy()
    for context, entries in table.items():
        row = refined[context]
        row[entries[::2]] = 0
        rest = max(SHARE_UNIT - sum(entries[1::2]), 0) / SHARE_UNIT
        row *= rest / max(row.sum(), 1e-12)
        row[entries[::2]] = np.array(entries[1::2]) / SHARE_UNIT
        row /= row.sum()
    return refined


def cells(codes: Mapping[str, Codes], names: Sequence[str], sizes: Mapping[str, int], rows: int) -> Codes:
    """[rows]: each row's cell in the table over the bins of `names`, the last one varying fastest."""
    index = np.zeros(rows, dtype=np.int64)
    for name in names:
        index = index * sizes[name] + codes[name]
    return index


def _draw(shares: Floats, contexts: Codes, generator: np.random.Generator) -> Codes:
    """[rows]: a bin for every row: all contexts' cumulative shares laid end to end, one search for all rows."""
    count, size = shares.shape
    cumulative = np.cumsum(shares, axis=1)
    cumulative[:, -1] = 1
    steps = (cumulative + np.arange(count)[:, None]).ravel()
    found = np.searchsorted(steps, contexts + generator.random(contexts.size), side="right")
    drawn: Codes = np.clip(found - contexts * size, 0, size - 1)
    return drawn


def _column(feature: FeatureSpec, bins: Sequence[Bin], codes: Codes, generator: np.random.Generator) -> pl.Series:
    """The values of a feature: String or Float64 [rows], drawn evenly inside ranges, null where missing."""
    if not isinstance(feature, Numeric):
        return pl.Series(feature.name, bins, dtype=pl.String).gather(codes)
    ends = [value if isinstance(value, tuple) else (value, value) for value in bins]
    low, high = np.array(ends, dtype=np.float64)[codes].T  # missing gives NaN
    position = generator.random(codes.size)
    values = low + (np.floor(position * (high - low + 1)) if feature.integer else position * (high - low))
    return pl.Series(feature.name, values, dtype=pl.Float64).fill_nan(None)
