"""The parts of an output: Parquet files with the scores beside the kept columns, and what each part says of itself."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import polars as pl

from bundle.manifest import Manifest
from scale.scoring.errors import ScoringError
from scale.scoring.model import Scores
from scale.writing import writing

METADATA = "scoring"
"""Key of a part's `PartSummary` in the Parquet file's own metadata."""


class PartSummary(msgspec.Struct, frozen=True):
    """What a part was made with and what was found in it; `unseen` counts categories by feature."""

    model: str
    version: str
    rows: int
    positive: int
    unseen: Mapping[str, int]


def score_columns(manifest: Manifest) -> tuple[str, str, str]:
    """Names of the class index, P(positive) and class label columns."""
    return "prediction", "probability", f"predicted_{manifest.target}"


def write_part(path: Path, kept: pl.DataFrame, scores: Scores, manifest: Manifest, unseen: Mapping[str, int]) -> None:
    """Write the part under its final name when it is complete, and not before."""
    prediction, probability, label = score_columns(manifest)
    names = [str(name) for name in manifest.classes]
    labels = pl.Series(label, names, dtype=pl.Enum(names)).gather(scores.labels)
    added = [pl.Series(prediction, scores.labels), pl.Series(probability, scores.probability), labels]
    frame = pl.DataFrame([*kept.get_columns(), *added])
    summary = PartSummary(manifest.name, manifest.version, len(labels), int(scores.labels.sum()), unseen)
    with writing(path) as temporary:
        frame.write_parquet(temporary, metadata={METADATA: msgspec.json.encode(summary).decode()})


def read_summary(path: Path) -> PartSummary:
    """What a finished part says of itself.

    Raises:
        ScoringError: the file isn't a part that `write_part` wrote.
    """
    try:
        return msgspec.json.decode(pl.read_parquet_metadata(path)[METADATA], type=PartSummary)
    except (pl.exceptions.PolarsError, KeyError, msgspec.DecodeError) as error:
        raise ScoringError(f"{path}: not a finished part; remove it to score its rows again") from error


def merge(parts: Iterable[Path], target: Path) -> None:
    """All parts' rows in one file, streamed; `target`'s suffix says which format.

    Raises:
        ScoringError: the kept columns of the parts differ.
    """
    rows = pl.scan_parquet(list(parts), glob=False)
    try:
        with writing(target) as temporary:
            if target.suffix == ".csv":
                rows.sink_csv(temporary)
            else:
                rows.sink_parquet(temporary)
    except pl.exceptions.SchemaError as error:
        raise ScoringError(
            f"{target}: the inputs' columns differ; KEEP those that all have, or OUTPUT a folder"
        ) from error
