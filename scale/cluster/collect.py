"""Results of tasks, in the tasks' order, for as long as there is a cluster to wait for."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from distributed import Client, Future, KilledWorker, wait

from scale.cluster.errors import ClusterError

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""How long all workers may be away before the run is given up: a restarted one needs some seconds."""


def in_order(client: Client, futures: Sequence[Future], *, patience: float = PATIENCE_SECONDS) -> Iterator[Any]:
    """Each task's result; what a task raises is raised when its turn comes, so that the first error is always the same.

    The task of a worker that dies is done again on another one (by Dask's own rule, three times). Tasks that are not
    done when the iteration ends are cancelled.

    Raises:
        ClusterError: the scheduler is gone, all workers are, or a task has killed every worker it ran on.
    """
    try:
        for future in futures:
            _wait(client, future, patience)
            try:
                yield future.result()
            except KilledWorker as error:
                raise ClusterError(
                    f"{error.allowed_failures + 1} workers died of the same task, the last at "
                    f"{error.last_worker.address}: give them more memory, or see their logs"
                ) from error
            except CancelledError as error:
                raise ClusterError("the scheduler was lost; the run was given up") from error
            future.release()
    finally:
        client.cancel([future for future in futures if not future.done()])


def _wait(client: Client, future: Future, patience: float) -> None:
    seen = time.monotonic()
    while True:
        try:
            wait(future, timeout=POLL_SECONDS)
        except TimeoutError:
            if workers_of(client):
                seen = time.monotonic()
            elif time.monotonic() - seen > patience:
                raise ClusterError(f"all workers have been away for {patience:.0f} s; the run was given up") from None
        except CancelledError as error:
            raise ClusterError("the scheduler was lost; the run was given up") from error
        else:
            return


def workers_of(client: Client) -> dict[str, dict[str, Any]]:
    """The workers that the scheduler knows now: by address, what it says about each (`nthreads`, `memory_limit`, ...).

    The scheduler itself is asked: `Client.scheduler_info` may return what a background refresh, which leaves out the
    workers, has just written.

    Raises:
        ClusterError: the scheduler doesn't answer.
    """
    try:
        identity = client.sync(client.scheduler.identity, n_workers=-1)
    except (OSError, ValueError, AttributeError) as error:  # the client of a lost scheduler has none
        raise ClusterError("the scheduler was lost; the run was given up") from error
    return dict(identity["workers"])
