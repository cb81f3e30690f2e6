"""A Dask cluster for tests: nothing of it is left when the block ends, whatever happens in it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import LocalCluster

from scale.cluster.event_loop import event_loop


@contextmanager
def local_cluster(**options: object) -> Iterator[LocalCluster]:
    """`options` are LocalCluster's. Ports are the system's choice, and only this machine can reach them.

    What a failed start leaves behind is collected here, so that its warnings are this test's and not a later one's.
    """
    fixed = {"host": "127.0.0.1", "protocol": "tcp", "dashboard_address": "127.0.0.1:0"}
    try:
        with event_loop() as loop, LocalCluster(loop=loop, **fixed, **options) as cluster:
            yield cluster
    finally:
        gc.collect()
