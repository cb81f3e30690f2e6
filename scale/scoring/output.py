"""The parts of an output: Parquet files with the scores beside the kept columns; each holds a summary of itself."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import polars as pl

from bundle.manifest import Manifest
from scale.scoring.errors import ScoringError
from scale.scoring.model import Scores
from scale.writing import writing
from training.data.table_files import SEPARATORS

PREDICTION = "prediction"

FORMATS = (".parquet", ".pq", ".csv", ".tsv")
"""Suffixes, in any case, of an output that is a single file."""

METADATA = "scoring"
"""Key of a part's `PartSummary` in the Parquet file's own metadata."""


class PartSummary(msgspec.Struct, frozen=True):
    """What a part was made with and what was found in it. `positive` counts rows, None where the model isn't a binary
    classifier; `unseen` counts categories by feature.
    """

    model: str
    version: str
    rows: int
    positive: int | None
    unseen: Mapping[str, int]


def score_columns(manifest: Manifest) -> tuple[str, ...]:
    """Names of the columns with the scores: the class index (or the value), the probability of the positive class (or
    of each of more than two), and the class label.
    """
    if manifest.task == "regression":
        return (PREDICTION,)
    binary = manifest.task == "binary_classification"
    probabilities = ("probability",) if binary else tuple(f"probability_{label}" for label in manifest.classes)
    return PREDICTION, *probabilities, f"predicted_{manifest.target}"


def _make_columns(scores: Scores, manifest: Manifest) -> list[pl.Series]:
    if scores.labels is None:
        return [pl.Series(PREDICTION, scores.numbers[:, 0])]
    prediction, *names, label = score_columns(manifest)
    places = range(len(names)) if manifest.positive_class is None else [manifest.classes.index(manifest.positive_class)]
    probabilities = [pl.Series(name, scores.numbers[:, place]) for name, place in zip(names, places, strict=True)]
    texts = isinstance(manifest.classes[0], str)
    kind = pl.Enum([str(text) for text in manifest.classes]) if texts else None
    labels = pl.Series(label, manifest.classes, kind).gather(scores.labels)
    return [pl.Series(prediction, scores.labels), *probabilities, labels]


def write_part(path: Path, kept: pl.DataFrame, scores: Scores, manifest: Manifest, unseen: Mapping[str, int]) -> None:
    """Write the part; it gets its final name only when it is complete."""
    frame = pl.DataFrame([*kept.get_columns(), *_make_columns(scores, manifest)])
    positive = None
    if scores.labels is not None and manifest.positive_class is not None:
        positive = int((scores.labels == manifest.classes.index(manifest.positive_class)).sum())
    summary = PartSummary(manifest.name, manifest.version, frame.height, positive, unseen)
    with writing(path) as temporary:
        frame.write_parquet(temporary, metadata={METADATA: msgspec.json.encode(summary).decode()})


def read_summary(path: Path) -> PartSummary:
    """What a finished part says about itself.

    Raises:
        ScoringError: the file isn't a part that `write_part` wrote.
    """
    try:
        return msgspec.json.decode(pl.read_parquet_metadata(path)[METADATA], type=PartSummary)
    except (pl.exceptions.PolarsError, KeyError, msgspec.DecodeError) as error:
        raise ScoringError(f"{path}: not a finished part; remove it to score its rows again") from error


def merge(parts: Iterable[Path], target: Path) -> None:
    """All parts' rows in one file, streamed; `target`'s suffix says which format. The parts have the same columns."""
    rows = pl.scan_parquet(list(parts), glob=False)
    with writing(target) as temporary:
        if (suffix := target.suffix.lower()) in SEPARATORS:
            rows.sink_csv(temporary, separator=SEPARATORS[suffix])
        else:
            rows.sink_parquet(temporary)
