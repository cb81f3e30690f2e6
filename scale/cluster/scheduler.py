"""`make dask-scheduler`: a Dask scheduler for ENGINE=dask.

Dask does not authenticate its clients, and runs what it is sent: keep the port to a trusted network, or use Dask's own
TLS (docs/scaling.md).
"""

import sys
from collections.abc import Sequence
from os import environ, execve
from pathlib import Path

from bundle.command_line import Parser, whole_number

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Become the scheduler, until Ctrl-C."""
    parser = Parser("scale dask-scheduler", __doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address at which workers and clients reach it")
    parser.add_argument("--port", type=whole_number(1, 65535), default=8786, help="port to listen on")
    given = parser.read(arguments)
    address = ("--host", given.host, "--port", str(given.port))
    return become_dask("scheduler", *address, "--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def become_dask(*arguments: str) -> int:
    """Replace this process with the dask command, which finds this project's code, as workers must."""
    surroundings = {**environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}
    execve(sys.executable, [sys.executable, "-m", "dask", *arguments], surroundings)  # noqa: S606 - no shell
    return 1
