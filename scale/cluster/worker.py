"""`make dask-worker`: Dask workers on this machine, until Ctrl-C."""

from collections.abc import Sequence

from bundle.command_line import Parser, whole_number
from scale.cluster.scheduler import become_dask


def main(arguments: Sequence[str] | None = None) -> int:
    """Become the process that starts the workers."""
    parser = Parser("scale dask-worker", __doc__)
    parser.add_argument("--scheduler", default="tcp://127.0.0.1:8786", help="address of the scheduler")
    parser.add_argument("--workers", type=whole_number(1), help="processes of one thread (default: as many as CPUs)")
    given = parser.read(arguments)
    workers = "-1" if given.workers is None else str(given.workers)
    return become_dask("worker", given.scheduler, "--nworkers", workers, "--nthreads", "1", "--no-dashboard")
