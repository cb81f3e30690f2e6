"""A Dask scheduler for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.scale.dask_cluster import local_cluster


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask scheduler with two workers, all of them threads of this process.

    They end with the module: they draw random numbers, which Hypothesis takes for its own tests' doing.
    """
    with local_cluster(n_workers=2, threads_per_worker=1, processes=False) as cluster:
        yield cluster.scheduler_address
