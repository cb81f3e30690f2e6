"""One pass over partitioned rows: check them all, count them, and take the sample that fits in memory.

Beside random training rows the sample has witnesses: rows of each category, as many as make it a frequent one (all, if
there are fewer), and the rows with the lowest and the highest value of each number. What is read off the sample (the
encoders' categories, the manifest's ranges, the edge cases) is therefore what all training rows would give.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from bundle.training_record import Data
from scale.training.partitions import DrawRange, ForEach, Partition, Partitions, one_by_one
from training.data.checks import check_presence, check_split, check_values, schema_of
from training.data.prepare import PreparedRows, pipeline_frame, targets
from training.dataset import Dataset
from training.errors import DataError
from training.progress import progress_bar

VALIDATION_ROWS = 500_000
"""Enough to choose a threshold on; at most a tenth of the rows that are not held out."""

REFERENCE_ROWS = 20_000
"""Held-out rows that the bundle carries and the parity gate compares; all held-out rows are scored."""


@dataclass(frozen=True)
class Plan:
    """The parts of the rows. `sample` is the part of `training` kept in memory, `reference` that of `held_out`."""

    held_out: DrawRange
    reference: DrawRange
    validation: DrawRange
    training: DrawRange
    sample: DrawRange


def plan_parts(dataset: Dataset, rows: int, sample_rows: int) -> Plan:
    """Held-out rows in the data set's own fraction, then validation rows, then training rows."""
    held_out = dataset.held_out_fraction
    validation = held_out + min(VALIDATION_ROWS / rows, (1 - held_out) / 10)
    return Plan(
        held_out=DrawRange(0, held_out),
        reference=DrawRange(0, min(held_out, REFERENCE_ROWS / rows)),
        validation=DrawRange(held_out, validation),
        training=DrawRange(validation, 1),
        sample=DrawRange(validation, min(1, validation + sample_rows / rows)),
    )


_ROW, _PLACE, _WANTED = "\0row", "\0place", "\0wanted"
"""Names of helper columns, which no feature of a file has."""


@dataclass
class _Witnesses:
    """Rows that show a category for one of the first times, or an end of a range."""

    dataset: Dataset
    rows: list[pl.DataFrame] = field(default_factory=list)
    _categories: dict[str, pl.DataFrame] = field(default_factory=dict)
    _ends: dict[tuple[str, int], float] = field(default_factory=dict)

    def look_at(self, frame: pl.DataFrame) -> None:
        """Keep the rows of the frame that show something new, each of them once."""
        numbered = frame.with_row_index(_ROW)
        wanted = [self._of_categories(numbered, feature.name) for feature in self.dataset.categorical]
        wanted += [self._of_ends(numbered, feature.name) for feature in self.dataset.numeric]
        positions = sorted(set().union(*wanted))
        if positions:
            self.rows.append(frame[positions])

    def _of_categories(self, frame: pl.DataFrame, name: str) -> list[int]:
        """Rows of each category, until as many are kept as make it a frequent one."""
        enough = self.dataset.min_frequency
        known = self._categories.get(name, frame.select(name, pl.lit(0).alias(_PLACE)).clear())
        wanted = known.select(name, (enough - pl.col(_PLACE)).alias(_WANTED))
        placed = frame.select(_ROW, name, pl.int_range(pl.len()).over(name).alias(_PLACE))
        joined = placed.join(wanted, on=name, how="left", nulls_equal=True, maintain_order="left")
        kept = joined.filter(pl.col(_PLACE) < pl.col(_WANTED).fill_null(enough))
        counts = pl.concat([known, kept.group_by(name).agg(pl.len().cast(pl.Int32).alias(_PLACE))])
        self._categories[name] = counts.group_by(name).agg(pl.col(_PLACE).sum())
        return kept[_ROW].to_list()

    def _of_ends(self, frame: pl.DataFrame, name: str) -> list[int]:
        """A row with the lowest and one with the highest number, if they lie beyond the earlier ones."""
        column = frame[name].to_physical()  # of a date its days
        positions = []
        for position, sign in ((column.arg_min(), -1), (column.arg_max(), 1)):
            if position is not None:
                value = sign * float(column[position])
                if value > self._ends.get((name, sign), float("-inf")):
                    self._ends[name, sign] = value
                    positions.append(position)
        return positions


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
        # witnesses come from outside the sample, so that no row is counted twice
        witnesses.look_at(DrawRange(plan.sample.high, plan.training.high).of(frame, draw))
        sample.append(plan.sample.of(frame, draw))
        reference.append(plan.reference.of(frame, draw))
        counts["training"] += plan.training.of(frame, draw).height
        counts["held_out"] += plan.held_out.of(frame, draw).height
        if dataset.task == "binary_classification":
            counts["positive"] += int(targets(dataset, frame).sum())
    empty = pl.DataFrame(schema=schema_of(dataset))
    return _FileSurvey(
        pl.concat([empty, *sample]), pl.concat([empty, *witnesses.rows]), pl.concat([empty, *reference]), counts
    )


def survey(partitions: Partitions, plan: Plan, for_each: ForEach = one_by_one) -> PreparedRows:
    """The sample, prepared like the rows of a data set that fits in memory; `description` is of all rows.

    Each file is surveyed by itself, and the results are merged in order: it doesn't matter where that was done.

    Raises:
        DataError: a row isn't what the data set declares, or the sample has too few rows of a class.
    """
    dataset, counts, witnesses = partitions.dataset, Counter[str](), _Witnesses(partitions.dataset)
    samples, references = [], []
    with progress_bar("survey", "rows", total=partitions.rows, unit_scale=True) as bar:
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
    target = targets(dataset, rows)
    check_split(dataset, rows, target)
    features = pipeline_frame(dataset, rows)
    held_out_target = targets(dataset, held_out)
    description, shown = _describe(partitions, counts), sum(frame.height for frame in witnesses.rows)
    return PreparedRows(dataset, rows, held_out, features, target, held_out_target, description, witnesses=shown)


def _describe(partitions: Partitions, counts: Mapping[str, int]) -> Data:
    binary = partitions.dataset.task == "binary_classification"
    return Data(
        source=partitions.source,
        files=partitions.files,
        rows=partitions.rows,
        training_rows=counts["training"],
        held_out_rows=counts["held_out"],
        positive_fraction=counts["positive"] / partitions.rows if binary else None,
        split_seed=partitions.dataset.split_seed,
    )
