"""What a command is told when its cluster is not as it must be, and the order in which results come."""

import asyncio
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from distributed import Client, KilledWorker

from scale.cluster import connection, sameness
from scale.cluster.collect import in_order
from scale.cluster.connection import ClosingClient, connected
from scale.cluster.errors import ClusterError
from scale.cluster.event_loop import event_loop
from tests.scale.dask_cluster import local_cluster


def later(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def failing(message: str) -> None:
    raise ValueError(message)


def test_results_come_in_the_order_of_the_tasks(scheduler):
    with connected(scheduler, ["cluster"]) as client:
        tasks = [client.submit(later, seconds, pure=False) for seconds in (0.2, 0.0, 0.1)]
        assert list(in_order(client, tasks)) == [0.2, 0.0, 0.1]


def test_the_first_error_is_raised_whenever_it_came(scheduler):
    with connected(scheduler, ["cluster"]) as client:
        tasks = [client.submit(later, 0.2, pure=False), *(client.submit(failing, name) for name in ("one", "two"))]
        results = in_order(client, tasks)
        assert next(results) == 0.2
        with pytest.raises(ValueError, match="one"):
            next(results)


def test_nobody_listens_at_the_address(monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"SCHEDULER={address}: no Dask scheduler could be reached there"):
            connected(address, []).__enter__()
    with pytest.raises(ClusterError, match="SCHEDULER=tcp://nonsense: no Dask scheduler"):
        connected("tcp://nonsense", []).__enter__()


def test_a_client_that_cannot_connect_is_closed_at_once():
    """Left to the garbage collector it could deadlock with the start of the next one."""
    with event_loop() as loop, pytest.raises(ValueError, match="missing port") as failure:
        ClosingClient("tcp://nonsense", loop=loop)
    frames = [entry.frame.f_locals.get("self") for entry in failure.traceback]
    assert {client.status for client in frames if isinstance(client, Client)} == {"closed"}


def test_an_event_loop_ends_with_its_block_and_closes_what_runs_in_it():
    before = threading.active_count()
    ended: list[bool] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with event_loop() as loop:
        asyncio.run_coroutine_threadsafe(endless(), loop.asyncio_loop)
    assert ended == [True]
    assert loop.asyncio_loop.is_closed()
    assert threading.active_count() == before


def test_a_scheduler_without_workers_and_a_cluster_that_goes_away(monkeypatch):
    monkeypatch.setattr(connection, "WORKER_SECONDS", 0.1)
    with local_cluster(n_workers=0, processes=False) as empty:
        with pytest.raises(ClusterError, match=r"no worker has joined for 0\.1 s; start some: make dask-worker"):
            connected(empty.scheduler_address, []).__enter__()
        with (
            Client(empty, loop=empty.loop) as client,
            pytest.raises(ClusterError, match="all workers have been away for 0 s"),
        ):
            list(in_order(client, [client.submit(later, 0.0)], patience=0))


def test_a_task_that_kills_its_workers_is_told_as_such():
    def dying() -> None:
        raise KilledWorker("task", SimpleNamespace(address="tcp://there"), 3)

    future = SimpleNamespace(result=dying, done=lambda: True, release=lambda: None)
    client = SimpleNamespace(cancel=lambda futures: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scale.cluster.collect._wait", lambda *arguments: None)
        with pytest.raises(ClusterError, match="4 workers died of the same task, the last at tcp://there"):
            list(in_order(client, [future]))


@pytest.mark.parametrize(
    ("version", "answer", "problem"),
    [
        ("1.0", "d", r"worker tcp://w has polars 1\.0, but 2\.0 is here"),
        ("2.0", "other", "worker tcp://w needs this project's code, but has another version of it"),
        ("2.0", ModuleNotFoundError("No module named 'cluster'"), "can't import it .No module named 'cluster'"),
    ],
)
def test_a_worker_with_other_versions_or_other_code_is_refused(version, answer, problem, monkeypatch):
    monkeypatch.setattr(sameness, "LIBRARIES", ("polars",))
    monkeypatch.setattr(sameness, "source_digest", lambda packages: "d")
    versions = {
        "client": {"packages": {"python": "3", "polars": "2.0"}},
        "workers": {"tcp://w": {"packages": {"python": "3", "polars": version}}},
    }
    client = SimpleNamespace(get_versions=lambda packages: versions, run=lambda *_, on_error: {"tcp://w": answer})
    with pytest.raises(ClusterError, match=problem):
        sameness.check_sameness(client, ["training"])


def test_the_digest_is_of_the_named_packages_code():
    assert sameness.source_digest(["cluster"]) != sameness.source_digest(["cluster", "bundle"])
