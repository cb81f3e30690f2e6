"""Fits the embedded synthetic data: writes a data set's statistics file from its real rows.

    python -m training fit-synthetic --dataset training.adult --data-dir data/adult

Only training rows are used: the held-out rows of the real data never influence the statistics. No row is stored, and
every stored number stands for at least `MIN_COUNT` rows; the share left for rarer cases is divided among all others.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from math import prod
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from bundle.command_line import Parser, file_path
from bundle.files import replacing
from training.data.prepare import split
from training.data.sources import read_files
from training.data.synthetic import (
    LOGIT_UNIT,
    SHARE_UNIT,
    Bin,
    Codes,
    Floats,
    Node,
    Statistics,
    cells,
    refine,
    synthesize,
)
from training.dataset import Dataset, FeatureSpec, Numeric
from training.errors import DataError, TrainingError
from training.options import load_dataset

MIN_COUNT = 5  # rows behind any stored number
MIN_RANGE = 10  # rows behind a bin of numbers
RANGES = 24  # bins that a numeric feature is cut into, before its frequent numbers get bins of their own
MAX_PARENTS = 2
PRICE = 1.0  # log-likelihood, in nats, that a stored share must gain to be worth its bytes
FLOOR = 1e-4  # least share in that comparison: unseen isn't impossible
REGULARISATION = 5.0  # C of the log-odds; chosen, like PRICE, on a part of the training rows kept back for it

Table = dict[int, list[int]]


def fit(dataset: Dataset, frame: pl.DataFrame) -> Statistics:
    """The statistics of `frame`, which must be as `dataset.parse` gives it.

    Raises:
        DataError: a feature or a class has too few rows for statistics.
    """
    bins = {feature.name: _bins(frame[feature.name], feature) for feature in dataset.features}
    positive = (frame[dataset.target] == dataset.classes[1]).to_numpy()
    if not all(bins.values()) or positive.all() or not positive.any():
        raise DataError(f"{dataset.name}: {frame.height} rows are too few for statistics")
    codes = {name: encode(frame[name], values) for name, values in bins.items()}
    start, weights = _log_odds(positive, codes, bins)
    network = [
        Node(feature=name, bins=bins[name], log_odds=weights[name], parents=parents, tables=tables)
        for name, parents, tables in _network(codes, {name: len(values) for name, values in bins.items()})
    ]
    return Statistics(
        target=dataset.target,
        classes=(str(dataset.classes[0]), str(dataset.classes[1])),
        log_odds=start,
        network=network,
    )


def _bins(column: pl.Series, feature: FeatureSpec) -> list[Bin]:
    """The bins of a feature: its categories, or numbers and ranges; then missing, if that occurs."""
    present = column.drop_nulls()
    bins: list[Bin] = []
    if isinstance(feature, Numeric):
        bins += _numeric_bins(present.to_numpy(), integer=feature.integer)
    else:
        names, counts = np.unique(present.to_numpy(), return_counts=True)
        bins += [str(names[i]) for i in np.argsort(-counts, kind="stable") if counts[i] >= MIN_COUNT]
    return [*bins, None] if column.null_count() >= MIN_COUNT else bins


def _numeric_bins(values: Floats, *, integer: bool) -> list[float | tuple[float, float]]:
    """Frequent numbers as they are and, between and beside them, ranges of about equal row counts."""
    distinct, counts = np.unique(values, return_counts=True)
    exact = np.zeros(distinct.size, dtype=bool)
    while (fresh := ~exact & (counts >= max(counts[~exact].sum() / RANGES, MIN_RANGE))).any():
        exact |= fresh
    points = [float(value) for value in distinct[exact]]
    rest = np.sort(values[~np.isin(values, distinct[exact])])
    if rest.size < MIN_RANGE:
        return [*points]
    # The outermost values and the digits beyond the third would reveal single rows.
    rest = rest[MIN_COUNT - 1 : 1 - MIN_COUNT]
    steps = np.linspace(0, rest.size - 1, min(RANGES, rest.size // MIN_RANGE) + 1).astype(np.int64)
    cuts = sorted({float(f"{rest[step]:.3g}") for step in steps})
    ends = [cut - integer for cut in cuts[1:-1]] + cuts[-1:]
    return sorted([*points, *zip(cuts[: len(ends)], ends, strict=True)], key=_start)


def _start(value: float | tuple[float, float]) -> float:
    return value[0] if isinstance(value, tuple) else value


def encode(column: pl.Series, bins: Sequence[Bin]) -> Codes:
    """[rows]: the bin of each value; a rare one goes to the first category, or to the range that starts before it."""
    values = column.to_numpy()
    codes = np.zeros(column.len(), dtype=np.int64)
    numbers: dict[int, float | tuple[float, float]] = {
        i: value for i, value in enumerate(bins) if isinstance(value, tuple)
    }
    numbers = numbers or {i: value for i, value in enumerate(bins) if isinstance(value, float)}
    if numbers:
        before = np.searchsorted([_start(value) for value in numbers.values()], values, side="right") - 1
        codes = np.array(list(numbers))[np.clip(before, 0, len(numbers) - 1)]
    for i, value in enumerate(bins):
        if value is None:
            codes[column.is_null().to_numpy()] = i
        elif not isinstance(value, tuple):
            codes[values == value] = i
    return codes


def _network(codes: Mapping[str, Codes], sizes: Mapping[str, int]) -> list[tuple[str, list[str], list[Table]]]:
    """Every feature with its parents and tables, in an order that puts parents first.

    Greedy: start with the feature that says most about all others, then always add the one about which those already
    placed say most. What tables gain is counted net of their price.
    """
    found: dict[tuple[str, ...], tuple[float, list[Table]]] = {}

    def gain(name: str, *parents: str) -> float:
        for key in ((name,), (name, *parents)):
            if key not in found:
                found[key] = _tables(name, key[1:], codes, sizes)
        return found[name, *parents][0] - found[name,][0]

    chosen: list[tuple[str, ...]] = [
        (max(codes, key=lambda first: sum(gain(name, first) for name in codes if name != first)),)
    ]
    while len(chosen) < len(codes):
        placed = [name for name, *_ in chosen]
        groups = [group for count in range(1, MAX_PARENTS + 1) for group in permutations(placed, count)]
        choices = [(name, *group) for name in codes if name not in placed for group in groups]
        chosen.append(max(choices, key=lambda choice: gain(*choice)))
    return [(name, parents, found[name, *parents][1]) for name, *parents in chosen]


def _tables(
    name: str, parents: Sequence[str], codes: Mapping[str, Codes], sizes: Mapping[str, int]
) -> tuple[float, list[Table]]:
    """The shares of `name`'s bins: overall, given the first parent, given both; and what they gain.

    A context is stored only if it adds more to the log-likelihood than it costs. The gain is in nats, net of that cost.
    """
    tables: list[Table] = []
    net = 0.0
    shares = np.full((1, sizes[name]), 1 / sizes[name])
    for level in range(len(parents) + 1):
        shares = np.repeat(shares, sizes[parents[level - 1]] if level else 1, axis=0)
        joint = cells(codes, [*parents[:level], name], sizes, codes[name].size)
        counts = np.bincount(joint, minlength=shares.size).reshape(shares.shape)
        table = {i: _shares(counts[i]) for i in np.flatnonzero(counts.max(axis=1) >= MIN_COUNT).tolist()}
        ratio = np.maximum(refine(shares, table), FLOOR) / np.maximum(shares, FLOOR)
        gains = np.sum(counts * np.log(ratio), axis=1)
        costs = {i: PRICE * len(entries) / 2 for i, entries in table.items()}
        table = {i: entries for i, entries in table.items() if gains[i] > costs[i]}
        net += sum(float(gains[i]) - costs[i] for i in table)
        shares = refine(shares, table)
        tables.append(table)
    return net, tables


def _shares(counts: Codes) -> list[int]:
    """`[bin, share, ...]` of the bins with enough rows."""
    kept = np.flatnonzero(counts >= MIN_COUNT)
    shares = np.rint(counts[kept] / counts.sum() * SHARE_UNIT).astype(np.int64)
    return np.column_stack([kept, shares]).ravel().tolist()


def _log_odds(
    positive: NDArray[np.bool_], codes: Mapping[str, Codes], bins: Mapping[str, list[Bin]]
) -> tuple[int, dict[str, list[int]]]:
    """The log-odds of the second class: where they start, and what each bin of each feature adds.

    Additive on purpose: weights for pairs of features were tried, and gained nothing on rows kept back.
    """
    encoder = OneHotEncoder(categories=[np.arange(len(values)) for values in bins.values()])
    indicators = encoder.fit_transform(np.column_stack([codes[name] for name in bins]))
    model = LogisticRegression(C=REGULARISATION, max_iter=1000).fit(indicators, positive)
    weights = np.rint(model.coef_[0] * LOGIT_UNIT).astype(np.int64)
    ends = np.cumsum([len(values) for values in bins.values()])[:-1]
    parts = np.split(weights, ends)
    added = {name: part.tolist() for name, part in zip(bins, parts, strict=True)}
    return round(model.intercept_[0] * LOGIT_UNIT), added


def write(statistics: Statistics, path: Path) -> int:
    """Write the file whole or not at all; returns its size in bytes."""
    content = msgspec.json.encode(statistics) + b"\n"
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return len(content)


def compare(dataset: Dataset, statistics: Statistics, real: pl.DataFrame, sampled: pl.DataFrame) -> list[str]:
    """Lines on how far the sampled rows are from the real ones, and one half of the real rows from the other.

    Total-variation distances (0: the same, 1: nothing in common) of columns and of pairs of them, target included.
    """
    bins = {node.feature: node.bins for node in statistics.network} | {dataset.target: list[Bin](dataset.classes)}
    halves = np.array_split(np.random.default_rng(0).permutation(real.height), 2)
    lines = []
    for title, frames in (("sample", [real, sampled]), ("halves", [real[half] for half in halves])):
        codes = [{name: encode(frame[name], values) for name, values in bins.items()} for frame in frames]
        for width in (1, 2):
            distances = {names: _distance(names, bins, *codes) for names in combinations(bins, width)}
            worst = max(distances, key=lambda names: distances[names])
            mean = sum(distances.values()) / len(distances)
            lines.append(f"{title}: {' x '.join(worst)} differ most: {distances[worst]:.4f}, mean {mean:.4f}")
    return lines


def _distance(
    names: Sequence[str], bins: Mapping[str, list[Bin]], one: Mapping[str, Codes], other: Mapping[str, Codes]
) -> float:
    sizes = {name: len(bins[name]) for name in names}
    indices = [cells(codes, names, sizes, codes[names[0]].size) for codes in (one, other)]
    shares = [np.bincount(index, minlength=prod(sizes.values())) / index.size for index in indices]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, write, and print the size and the quality. Returns the exit status."""
    parser = Parser("training fit-synthetic", "Fit the embedded synthetic data to the real rows.")
    parser.add_argument("--dataset", type=load_dataset, required=True, help="module with a DATASET")
    parser.add_argument("--data-dir", type=file_path, required=True, help="folder of the raw files")
    options = parser.read(arguments)
    dataset: Dataset = options.dataset
    if dataset.synthetic_statistics is None:
        parser.error(f"--dataset: {dataset.name} names no file for synthetic statistics")
    try:
        training, _ = split(dataset, dataset.parse(read_files(dataset, options.data_dir)))
        statistics = fit(dataset, training)
        size = write(statistics, dataset.synthetic_statistics)
        lines = compare(dataset, statistics, training, synthesize(dataset, training.height, dataset.split_seed))
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{dataset.synthetic_statistics.name}: {size:,} bytes from {training.height:,} training rows")
    print(*lines, sep="\n")
    return 0
