"""Trees of one model, grown by all workers of a Dask cluster together, by XGBoost's own collective.

`xgboost.dask` does the same from the rows themselves, which it holds as float32 in the workers' memory until they are
binned; and it needs pandas and pyarrow. Here a worker reads its files batch by batch, and holds nothing but the bins.
"""

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import xgboost as xgb
from distributed import Client, Future, Worker, get_worker, wait
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from xgboost import collective
from xgboost.tracker import RabitTracker

from scale.cluster.collect import POLL_SECONDS, workers_of
from scale.cluster.errors import ClusterError
from scale.training.partitioned import EncodedBatches, EveryRound, boosting_arguments, matrix_bytes
from scale.training.partitions import DrawRange, Partition, Partitions
from training.data.prepare import PreparedRows
from training.errors import TrainingError
from training.progress import progress_bar

SILENCE_SECONDS = 1800
"""How long XGBoost waits for a worker that is alive but silent: one may have more to read than others."""


CAUSE_SECONDS = 10.0
"""How long to wait for other workers' errors after the first one, which may not be the cause."""

WORKER_BYTES = 0.5e9
"""What a worker needs beside its share of the matrix: the libraries, and a batch of rows in several forms."""


@dataclass(frozen=True)
class Work:
    """What all workers do alike. `topic` is where the first of them reports its progress to Dask."""

    preprocessing: ColumnTransformer
    part: DrawRange
    arguments: dict[str, Any]
    rounds: int
    tracker: dict[str, str | int]
    topic: str


def deal(partitions: Sequence[Partition], shares: int) -> list[list[Partition]]:
    """The files in at most `shares` shares of about as many rows; the same files give the same shares."""
    dealt: list[list[Partition]] = [[] for _ in range(min(shares, len(partitions)))]
    for partition in sorted(partitions, key=lambda partition: -partition.rows):
        min(dealt, key=lambda share: sum(other.rows for other in share)).append(partition)
    return [sorted(share, key=lambda partition: partition.number) for share in dealt]


def grow_on_workers(
    client: Client, rows: PreparedRows, partitions: Partitions, part: DrawRange, pipeline: Pipeline
) -> bytes:
    """The trees of the pipeline's unfitted classifier, for the rows of `part`; its preprocessing is fitted.

    Raises:
        DataError: a file can't be read any more.
        TrainingError: the workers have too little memory, or one was lost.
    """
    preprocessing, classifier = pipeline.named_steps["preprocessing"], pipeline.named_steps["model"]
    workers = workers_of(client)
    shares = deal([partition for partition in partitions.partitions if partition.rows], len(workers))
    chosen = sorted(workers)[: len(shares)]
    _check_memory([workers[address] for address in chosen], matrix_bytes(rows, preprocessing))
    rounds = classifier.get_num_boosting_rounds()
    with (
        progress_bar(f"trees on {len(chosen)} workers", "trees", total=rounds) as bar,
        _tracker(client, chosen) as args,
    ):
        arguments = boosting_arguments(rows.dataset, classifier)
        work = Work(preprocessing, part, arguments, rounds, args, f"trees-{uuid.uuid4().hex}")
        client.subscribe_topic(work.topic, lambda _: bar.update())
        everywhere = client.scatter(work, broadcast=True, hash=False)
        futures = [
            client.submit(_grow_share, everywhere, share, number, workers=[address], pure=False)
            for number, (address, share) in enumerate(zip(chosen, shares, strict=True))
        ]
        return _await(client, futures, chosen)


def _grow_share(work: Work, share: Sequence[Partition], number: int) -> bytes:
    """What one worker does. The first worker returns the trees, the others nothing."""
    worker = get_worker()
    threads = worker.state.nthreads
    callbacks = [] if number else [EveryRound(lambda: worker.log_event(work.topic, "tree"))]
    communicator = {**work.tracker, "dmlc_task_id": f"{number:06d}", "dmlc_timeout": SILENCE_SECONDS}
    with xgb.config_context(verbosity=0), collective.CommunicatorContext(**communicator):
        batches = EncodedBatches(work.preprocessing, share, work.part, advance=int)
        matrix = xgb.QuantileDMatrix(batches, nthread=threads)
        arguments = {**work.arguments, "n_jobs": threads}
        booster = xgb.train(arguments, matrix, num_boost_round=work.rounds, callbacks=callbacks)
    return b"" if number else bytes(booster.save_raw())


@contextmanager
def _tracker(client: Client, workers: Sequence[str]) -> Iterator[dict[str, str | int]]:
    """Where the workers find each other: XGBoost's tracker, in the first worker."""
    first = [workers[0]]
    arguments = client.run(_start_tracker, len(workers), workers=first)[workers[0]]
    try:
        yield arguments
    finally:
        if workers[0] in workers_of(client):
            client.run(_stop_tracker, workers=first, on_error="ignore")


def _start_tracker(count: int, dask_worker: Worker) -> dict[str, str | int]:
    host = dask_worker.address.rpartition("/")[2].rpartition(":")[0].strip("[]")
    tracker = RabitTracker(count, host_ip=host, sortby="task")
    tracker.start()
    dask_worker.xgboost_tracker = tracker
    return {**tracker.worker_args()}


def _stop_tracker(dask_worker: Worker) -> None:
    tracker = dask_worker.xgboost_tracker
    del dask_worker.xgboost_tracker
    with suppress(xgb.core.XGBoostError):  # it complains if it was still waiting for workers, as after a failure
        tracker.free()


def _await(client: Client, futures: Sequence[Future], workers: Sequence[str]) -> bytes:
    """The first worker's trees, when all are done.

    When one worker fails, all others fail within moments, since it is missing when they next add up. Its own error is
    the cause.
    """
    try:
        while any(future.status == "pending" for future in futures):
            with suppress(TimeoutError):
                pending = [future for future in futures if future.status == "pending"]
                wait(pending, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
            if lost := sorted({*workers} - {*workers_of(client)}):
                raise TrainingError(f"worker {lost[0]} was lost while trees were grown (too little memory?)")
            if any(future.status == "error" for future in futures):
                with suppress(TimeoutError):
                    wait(futures, timeout=CAUSE_SECONDS)
                break
        failures = [future.exception() for future in futures if future.status == "error"]
        if failures:
            raise _cause(failures)
        return bytes(futures[0].result())
    except CancelledError as error:
        raise ClusterError("the scheduler was lost; the run was given up") from error
    finally:
        client.cancel(list(futures))


def _cause(failures: Sequence[BaseException]) -> BaseException:
    own = [failure for failure in failures if not isinstance(failure, xgb.core.XGBoostError)]
    if own:
        return own[0]
    lines = [line.strip(" -") for line in str(failures[0]).splitlines() if line.strip(" -")]
    return TrainingError(f"XGBoost failed on the cluster: {lines[1] if len(lines) > 1 else lines[0]}")


def _check_memory(workers: Sequence[dict[str, Any]], needed: float) -> None:
    """Dask ends a worker that outgrows its limit: check first. If any worker has no limit, nothing is checked."""
    limits = [worker["memory_limit"] for worker in workers]
    share = needed / len(workers) + WORKER_BYTES
    if all(limits) and share > min(limits):
        raise TrainingError(
            f"a share of XGBoost's matrix takes about {share / 1e9:.1f} GB in each of {len(workers)} workers, but one "
            f"is limited to {min(limits) / 1e9:.1f} GB; add workers, or use ENGINE=external"
        )
