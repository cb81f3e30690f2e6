"""One pass over partitioned rows: check them all, count them, and take the sample that fits in memory.

To the random training rows of the sample come witnesses: for every category, and for both ends of every number's range,
a training row that has it. So what is read off the sample (the encoders' categories, the manifest's ranges, the edge
cases) is what all the training rows would give.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl
from tqdm import tqdm

from bundle.training_record import Data
from scale.training.partitions import ForEach, Part, Partition, Partitions, one_by_one
from training.data.prepare import PreparedRows, check_presence, check_split, check_values, class_indices, pipeline_frame
from training.dataset import Dataset
from training.errors import DataError

VALIDATION_ROWS = 500_000
"""Enough to choose a threshold on; of fewer rows, a tenth."""

REFERENCE_ROWS = 20_000
"""Held-out rows that the bundle carries and the parity gate compares; all held-out rows are scored."""


@dataclass(frozen=True)
class Plan:
    """The parts of the rows. Of `training` the part `sample` is kept in memory, of `held_out` the part `reference`."""

    held_out: Part
    reference: Part
    validation: Part
    training: Part
    sample: Part


def plan_parts(dataset: Dataset, rows: int, sample_rows: int) -> Plan:
    """Held-out rows in the data set's own fraction, then validation rows, then training rows."""
    held_out = dataset.held_out_fraction
    validation = held_out + min(VALIDATION_ROWS / rows, (1 - held_out) / 10)
    return Plan(
        held_out=Part(0, held_out),
        reference=Part(0, min(held_out, REFERENCE_ROWS / rows)),
        validation=Part(held_out, validation),
        training=Part(validation, 1),
        sample=Part(validation, min(1, validation + sample_rows / rows)),
    )


@dataclass
class _Witnesses:
    """Rows that show a category or an end of a range for the first time."""

    dataset: Dataset
    rows: list[pl.DataFrame] = field(default_factory=list)
    _categories: dict[str, set[str | None]] = field(default_factory=dict)
    _ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    def look_at(self, frame: pl.DataFrame) -> None:
        for feature in self.dataset.categorical:
            known = self._categories.setdefault(feature.name, set())
            if new := set(frame[feature.name].unique()) - known:
                known |= new
                self._keep(frame, pl.col(feature.name).is_in(list(new), nulls_equal=True), feature.name)
        for numeric in self.dataset.numeric:
            column = pl.col(numeric.name)
            ends = frame.select(column.min().alias("low"), column.max().alias("high")).row(0)
            if None in ends:
                continue
            low, high = self._ranges.get(numeric.name, (float("inf"), float("-inf")))
            self._ranges[numeric.name] = (min(low, ends[0]), max(high, ends[1]))
            beyond = [end for end, new in zip(ends, (ends[0] < low, ends[1] > high), strict=True) if new]
            if beyond:
                self._keep(frame, column.is_in(beyond), numeric.name)

    def _keep(self, frame: pl.DataFrame, condition: pl.Expr, name: str) -> None:
        self.rows.append(frame.filter(condition).unique(name, keep="first", maintain_order=True))


@dataclass(frozen=True)
class _FileSurvey:
    """What one file adds to the survey."""

    sample: pl.DataFrame
    witnesses: pl.DataFrame
    reference: pl.DataFrame
    counts: Counter[str]


def _survey_file(plan: Plan, partition: Partition) -> _FileSurvey:
    """Check every row of a file.

    Raises:
        DataError: it can't be read, or a row isn't what the data set declares.
    """
    dataset, counts = partition.dataset, Counter[str]()
    witnesses, sample, reference = _Witnesses(dataset), [], []
    for frame, draw in partition.batches():
        try:
            check_values(dataset, frame)
        except DataError as error:
            raise DataError(f"{partition.path}: {error}") from error
        training = plan.training.of(frame, draw)
        witnesses.look_at(training)
        sample.append(plan.sample.of(frame, draw))
        reference.append(plan.reference.of(frame, draw))
        counts["training"] += training.height
        counts["held_out"] += plan.held_out.of(frame, draw).height
        counts["positive"] += int(class_indices(dataset, frame).sum())
    empty = _no_rows(dataset)
    return _FileSurvey(
        pl.concat([empty, *sample]), pl.concat([empty, *witnesses.rows]), pl.concat([empty, *reference]), counts
    )


def _no_rows(dataset: Dataset) -> pl.DataFrame:
    numbers = {feature.name: pl.Float64() for feature in dataset.numeric}
    names = [*(feature.name for feature in dataset.features), dataset.target]
    return pl.DataFrame(schema={name: numbers.get(name, pl.String()) for name in names})


def survey(partitions: Partitions, plan: Plan, for_each: ForEach = one_by_one) -> PreparedRows:
    """The sample, prepared like the rows of a data set that fits in memory; `description` is of all rows.

    Files are surveyed by themselves and then merged in their order: the result is the same wherever that was done.

    Raises:
        DataError: a row isn't what the data set declares, or the sample has too few rows of a class.
    """
    dataset, counts, witnesses = partitions.dataset, Counter[str](), _Witnesses(partitions.dataset)
    samples, references = [], []
    with tqdm(total=partitions.rows, desc="survey", unit=" rows", unit_scale=True) as bar:
        found = for_each(_survey_file, plan, partitions.partitions)
        for partition, part in zip(partitions.partitions, found, strict=True):
            witnesses.look_at(part.witnesses)
            samples.append(part.sample)
            references.append(part.reference)
            counts.update(part.counts)
            bar.update(partition.rows)
    rows = pl.concat([*samples, *witnesses.rows])
    held_out = pl.concat(references)
    if not held_out.height:
        raise DataError(f"{dataset.name}: {partitions.rows:,} rows are too few to be split; ENGINE=memory takes them")
    check_presence(dataset, rows)
    target = class_indices(dataset, rows)
    check_split(dataset, rows, target)
    features = pipeline_frame(dataset, rows)
    held_out_target = class_indices(dataset, held_out)
    return PreparedRows(dataset, rows, held_out, features, target, held_out_target, _describe(partitions, counts))


def _describe(partitions: Partitions, counts: Mapping[str, int]) -> Data:
    return Data(
        source=partitions.source,
        files=partitions.files,
        rows=partitions.rows,
        training_rows=counts["training"],
        held_out_rows=counts["held_out"],
        positive_fraction=counts["positive"] / partitions.rows,
        split_seed=partitions.dataset.split_seed,
    )
