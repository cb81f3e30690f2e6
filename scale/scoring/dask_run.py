"""A scoring run on a Dask cluster: the same parts by the same function, on workers that see the same folders."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
from distributed import get_worker

from bundle.artifacts import read_artifact
from bundle.manifest import Manifest, read_manifest
from scale.cluster.collect import in_order, workers_of
from scale.cluster.connection import connected
from scale.scoring.errors import InputError, ScoringError
from scale.scoring.inputs import InputFile
from scale.scoring.model import ScoringModel
from scale.scoring.plan import OutputPart, contiguous
from scale.scoring.run import Job, score_parts
from training.data.table_files import CsvOptions, is_parquet
from training.progress import progress_bar

PACKAGES = ("bundle", "scale", "training")

TASK_PARTS = 4
"""Parts of a Parquet file that a worker scores at a time: as many are lost if it dies, and are read in one go."""


@dataclass(frozen=True)
class Task:
    """Neighbouring parts of one file, and what a worker needs to score them. All paths are absolute."""

    models: Path
    version: str
    file: InputFile
    parts: Sequence[OutputPart]
    folder: Path
    keep: tuple[str, ...] | None
    csv: CsvOptions
    part_rows: int


def score_on_dask(job: Job, models: Path, parts: Sequence[OutputPart], scheduler: str, *, done: int) -> int:
    """Score `parts` on the cluster, or on local workers if `scheduler` is "". Returns how many threads did it.

    A part whose worker dies is scored by another. Whatever else ends a local run ends this one, with the same message:
    that of the first bad row, whichever worker found one first. Finished parts are kept.

    Raises:
        InputError, TableError: a row can't be scored, or a file has changed or can't be seen by a worker.
        ScoringError: a worker sees another bundle.
        ClusterError: the cluster can't be used, or was lost.
    """
    tasks = list(_tasks(job, models, parts))
    total = done + sum(part.rows for part in parts)
    with (
        connected(scheduler, PACKAGES) as client,
        progress_bar("score", "rows", total=total, initial=done, unit_scale=True) as bar,
    ):
        threads = sum(int(worker["nthreads"]) for worker in workers_of(client).values())
        for rows in in_order(client, [client.submit(score_task, task, pure=False) for task in tasks]):
            bar.update(rows)
    return threads


def _tasks(job: Job, models: Path, parts: Sequence[OutputPart]) -> Iterator[Task]:
    """CSV is parsed from its start: all its parts are one task."""
    for group in contiguous(parts):
        file = job.files[group[0].file]
        absolute = msgspec.structs.replace(file, path=os.path.abspath(file.path))  # noqa: PTH100 - keeps symlinks
        size = TASK_PARTS if is_parquet(Path(absolute.path)) else len(group)
        for start in range(0, len(group), size):
            yield Task(
                models=models.absolute(),
                version=job.manifest.version,
                file=absolute,
                parts=group[start : start + size],
                folder=job.folder.absolute(),
                keep=job.keep,
                csv=job.csv,
                part_rows=job.part_rows,
            )


def score_task(task: Task) -> int:
    """What a worker does; parts that are there already are left as they are. Returns the rows of the task.

    Raises:
        as `score_on_dask`.
    """
    manifest, model = _open_model(task.models, task.version)
    if not task.file.is_unchanged():
        raise InputError(f"{task.file.path}: is another file, or none, for the worker on {_host()}")
    files = {part.file: task.file for part in task.parts}
    missing = [part for part in task.parts if not (task.folder / part.name).exists()]
    job = Job(model, manifest, files, task.folder, task.keep, task.csv, task.part_rows, threads=1)
    score_parts(job, missing, done=0, progress=io.StringIO())
    return sum(part.rows for part in task.parts)


@lru_cache(maxsize=1)
def _open_model(models: Path, version: str) -> tuple[Manifest, ScoringModel]:
    manifest = read_manifest(models)
    if manifest.version != version:
        raise ScoringError(
            f"{models}: the worker on {_host()} sees version {manifest.version} there, but {version} is to score"
        )
    return manifest, ScoringModel(read_artifact(manifest, "onnx_packed", models), manifest)


def _host() -> str:
    return str(get_worker().address)
