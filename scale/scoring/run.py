"""A scoring run: read slices in order, score them on all cores, write each as a part."""

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import polars as pl

from bundle.manifest import Manifest
from scale.scoring.columns import check_schema, read_features
from scale.scoring.encoding import Encoded
from scale.scoring.errors import InputError
from scale.scoring.inputs import InputFile
from scale.scoring.model import ScoringModel
from scale.scoring.output import score_columns, write_part
from scale.scoring.plan import OutputPart, contiguous
from training.data.table_files import CsvOptions, explain_missing, read_schema, read_slices
from training.progress import progress_bar


@dataclass(frozen=True)
class Job:
    """What every part of a run has in common. `files` are by number; `keep` are input columns to write, None: all."""

    model: ScoringModel
    manifest: Manifest
    files: Mapping[int, InputFile]
    folder: Path
    keep: tuple[str, ...] | None
    csv: CsvOptions
    part_rows: int
    threads: int

    def columns(self, path: Path) -> tuple[list[str], list[str]]:
        """The columns to read from a file, and those to keep.

        Raises:
            InputError: the file lacks a feature or a kept column, or has one named like a score.
            TableError: the file can't be read.
        """
        schema = read_schema(path, self.csv)
        check_schema(self.manifest.features, schema, path)
        kept = list(schema if self.keep is None else self.keep)
        if missing := [name for name in kept if name not in schema]:
            raise InputError(f"{path}: KEEP: {explain_missing(missing, list(schema))}")
        for name in kept:
            if name in score_columns(self.manifest):
                raise InputError(f"{path}: column {name!r} is named like a score; give KEEP without it")
        return list(dict.fromkeys([*kept, *(feature.name for feature in self.manifest.features)])), kept

    def check_alike(self) -> None:
        """Check that the kept columns of all files can stand in a single one.

        Raises:
            InputError: a file has other columns than the first, or columns of other types.
        """
        first: tuple[str, dict[str, pl.DataType]] | None = None
        for file in self.files.values():
            schema = read_schema(Path(file.path), self.csv)
            kept = {name: schema[name] for name in self.columns(Path(file.path))[1]}
            first = first or (file.path, kept)
            if kept != first[1]:
                name = next(
                    (name for name in (*first[1], *kept) if kept.get(name) != first[1].get(name)), "their order"
                )
                raise InputError(
                    f"{file.path}: the inputs' columns differ: {name} is {kept.get(name, 'missing')}, in {first[0]} "
                    f"{first[1].get(name, 'missing')}; KEEP those that are alike in all files, or OUTPUT a folder"
                )


def score_parts(job: Job, parts: Sequence[OutputPart], *, done: int, progress: TextIO = sys.stderr) -> Encoded | None:
    """Score `parts`, with at most one slice more in memory than there are threads. Returns the last one's rows.

    `done` rows were scored by an earlier run; the progress bar starts there.

    Raises:
        InputError: a row can't be scored, or a file has changed since it was described. Earlier parts are kept.
    """
    total = done + sum(part.rows for part in parts)
    pending: deque[Future[Encoded]] = deque()
    last = None
    with (
        progress_bar("score", "rows", file=progress, total=total, initial=done, unit_scale=True) as bar,
        ThreadPoolExecutor(job.threads) as pool,
    ):
        try:
            for part, frame, kept in _read(job, parts):
                pending.append(pool.submit(_score_part, job, part, frame, kept))
                if len(pending) > job.threads:
                    last = pending.popleft().result()
                    bar.update(len(last.codes))
            while pending:
                last = pending.popleft().result()
                bar.update(len(last.codes))
        finally:
            for future in pending:
                future.cancel()
    return last


def _read(job: Job, parts: Sequence[OutputPart]) -> Iterator[tuple[OutputPart, pl.DataFrame, list[str]]]:
    """Each part's rows, with the columns to keep."""
    for group in contiguous(parts):
        path = Path(job.files[group[0].file].path)
        columns, kept = job.columns(path)
        rows = sum(part.rows for part in group)
        slices = read_slices(path, columns, group[0].offset, rows, job.part_rows, job.csv)
        for part in group:
            frame = next(slices, None)
            if frame is None or frame.height != part.rows:
                raise InputError(f"{path}: changed while it was read; run the command again")
            yield part, frame, kept


def _score_part(job: Job, part: OutputPart, frame: pl.DataFrame, kept: list[str]) -> Encoded:
    path = Path(job.files[part.file].path)
    rows = job.model.encoder.encode(read_features(job.manifest.features, frame, path, part.offset))
    write_part(job.folder / part.name, frame.select(kept), job.model.score(rows), job.manifest, rows.unseen)
    return rows
