"""A connection to a Dask scheduler, or to local workers if none is named."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dask.system
from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT
from tornado.ioloop import IOLoop

from scale.cluster.errors import ClusterError
from scale.cluster.event_loop import event_loop
from scale.cluster.sameness import check_sameness

CONNECT_SECONDS = 10
WORKER_SECONDS = 30

LOCAL_SHARE = 0.8
"""The share of the machine's or the cgroup's memory that local workers get; the rest is for the command itself."""


class ClosingClient(Client):  # type: ignore[misc]  # distributed has no types
    """A client that is closed if it can't connect. Dask's own is left to the garbage collector."""

    def start(self, **options: object) -> None:
        """Connect; called by the constructor."""
        try:
            super().start(**options)
        except BaseException:
            self.close()
            raise


@contextmanager
def connected(scheduler: str, packages: Sequence[str]) -> Iterator[Client]:
    """A client of the scheduler at `scheduler` (as Dask writes it, such as tcp://host:8786), with at least one worker.

    "" starts workers here for as long as the block runs: a process of one thread for every CPU. `packages` are the
    project's packages whose code workers will run; it has to be the same there as here.

    Raises:
        ClusterError: there is no answer at the address, no worker joins, or one has other versions or other code.
    """
    with event_loop() as loop:
        if not scheduler:
            with _local_cluster(loop) as cluster, ClosingClient(cluster, loop=loop) as client:
                yield client
            return
        try:
            client = ClosingClient(scheduler, timeout=CONNECT_SECONDS, loop=loop)
        except (OSError, ValueError, ImportError) as error:  # ImportError: how Dask reports an older scheduler
            reason = (str(error.__cause__ or "") or str(error)).splitlines()[0].rpartition(": ")[2]
            raise ClusterError(f"SCHEDULER={scheduler}: no Dask scheduler could be reached there: {reason}") from error
        with client:
            _wait_for_workers(client, scheduler)
            check_sameness(client, packages)
            yield client


def _local_cluster(loop: IOLoop) -> LocalCluster:
    """Processes, bound to the loopback interface, without a dashboard."""
    workers = dask.system.CPU_COUNT
    memory = int(MEMORY_LIMIT * LOCAL_SHARE / workers)
    print(f"dask: {workers} local workers of one thread, at most {memory / 1e9:.1f} GB each", file=sys.stderr)
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        memory_limit=memory,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,
        loop=loop,
    )


def _wait_for_workers(client: Client, scheduler: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError as error:
        raise ClusterError(
            f"SCHEDULER={scheduler}: no worker has joined for {WORKER_SECONDS} s; start some: "
            f"make dask-worker SCHEDULER={scheduler}"
        ) from error
