"""`make score`: score Parquet and text files of any size with the bundle in `models/`."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.manifest import read_manifest
from scale.cluster.errors import ClusterError
from scale.scoring.errors import ScoringError
from scale.scoring.inputs import find_inputs, input_lines
from scale.scoring.model import ScoringModel
from scale.scoring.options import ScoringOptions, parse_options
from scale.scoring.output import merge, read_summary, score_columns
from scale.scoring.plan import OutputPart, plan_parts, share
from scale.scoring.run import Job, score_parts
from scale.scoring.state import State, settle
from scale.scoring.summary import Speed, summary_lines
from training.errors import TableError


def score(options: ScoringOptions) -> list[str]:
    """One whole run. Returns its summary, line by line.

    Raises:
        ScoringError, TableError: the input can't be scored, or the output holds something else. Finished parts are
            kept.
        ClusterError: the Dask cluster can't be used, or was lost. Finished parts are kept.
        BundleError, OSError: there is no whole bundle, or the output can't be written.
    """
    job = _prepare(options)
    planned = plan_parts(list(job.files.values()), options.part_rows)
    mine = share(planned, options.shard)
    missing = [part for part in mine if not (options.folder / part.name).exists()]
    speed = _score(job, options, missing, done=sum(part.rows for part in mine if part not in {*missing}))
    if changed := [file.path for file in job.files.values() if not file.is_unchanged()]:
        raise ScoringError(f"{changed[0]}: changed while it was read; FRESH=1 scores all of the input again")
    summaries = [read_summary(options.folder / part.name) for part in mine]
    if options.single_file:
        merge([options.folder / part.name for part in planned], options.output)
        shutil.rmtree(options.folder)
    return summary_lines(options, summaries, len(planned), speed)


def _score(job: Job, options: ScoringOptions, parts: Sequence[OutputPart], *, done: int) -> Speed:
    rows = sum(part.rows for part in parts)
    start = time.perf_counter()
    if options.engine == "dask" and parts:
        try:
            from scale.scoring.dask_run import score_on_dask  # noqa: PLC0415 - only this engine needs Dask
        except ImportError as error:
            raise ScoringError(f"ENGINE=dask needs Dask (the extra `cluster` in pyproject.toml): {error}") from error
        threads = score_on_dask(job, options.models, parts, options.scheduler, done=done)
        seconds = time.perf_counter() - start
        for leftover in job.folder.glob(".part-*"):
            leftover.unlink()  # of a worker that died
        return Speed(rows, seconds, threads, None)
    last = score_parts(job, parts, done=done)
    seconds = time.perf_counter() - start
    limit = None if last is None else job.model.measure_limit(last, options.threads)
    return Speed(rows, seconds, options.threads, limit)


def _prepare(options: ScoringOptions) -> Job:
    """Everything that can be checked before the first row is scored."""
    manifest = read_manifest(options.models)
    model = ScoringModel(read_artifact(manifest, "onnx_packed", options.models), manifest)
    job = Job(model, manifest, {}, options.folder, options.keep, options.csv, options.part_rows, options.threads)
    inputs = find_inputs(
        options.input,
        options.csv,
        job.columns,  # a fault of the last file is reported before the first is scored
        score_columns(manifest),
        {options.output.resolve(), options.folder.resolve()},
        skip=options.skip,
    )
    if not any(file.rows for file in inputs.files):
        raise ScoringError(f"INPUT={options.input!r}: no rows")
    job = replace(job, files=dict(enumerate(inputs.files)))
    if options.single_file:
        job.check_alike()
    print("\n".join(input_lines(inputs)), flush=True)
    state = State(
        model=manifest.name,
        version=manifest.version,
        part_rows=options.part_rows,
        keep=options.keep,
        csv=options.csv,
        inputs=inputs.files,
    )
    settle(state, options.folder, fresh=options.fresh, alone=options.shard.shares == 1)
    return job


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 scored, 1 not all could be scored, 130 interrupted; the same command then goes on."""
    options = parse_options(arguments)
    try:
        lines = score(options)
    except (ScoringError, TableError, BundleError, ClusterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: finished parts are kept; the same command goes on", file=sys.stderr)
        return 130
    print("\n".join(lines))
    return 0
