"""What a soak does to a service while honest clients use it: hostile requests, and faults of its surroundings."""

import contextlib
import itertools
import os
import resource
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec
import psutil

from bundle.manifest import encode_manifest, find_manifest, read_manifest
from load_testing.payloads import Reference
from load_testing.scenarios import Address, render
from load_testing.services import Service
from tests.contract.hostile_bodies import HostileBody, hostile_bodies
from tests.contract.hostile_clients import HOSTILE_CLIENTS, HostileClient, NotClosed

FAULT_SECONDS = 5.0
"""The time from one fault to the next."""

IDLE_CONNECTIONS = 1000
BURST_CONNECTIONS = 600
_PATIENCE_SECONDS = 60.0
_OTHER_FILES = 256


class HostileCounts(msgspec.Struct):
    """`tried` hostile requests and clients; `unexpected` has those that were answered otherwise than documented."""

    tried: int = 0
    unexpected: dict[str, int] = msgspec.field(default_factory=Counter)


class Repeated(threading.Thread):
    """A thread that takes one turn after the other until it is stopped; if a turn failed, its error is raised then."""

    def __init__(self, turns: Iterator[Callable[[], None]], pause: float) -> None:
        super().__init__(daemon=True)
        self._turns = turns
        self._pause = pause
        self._stopping = threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        """Called by `start`."""
        try:
            while not self._stopping.wait(self._pause):
                next(self._turns)()
        except Exception as error:  # noqa: BLE001 - handed on to who waits for the thread
            self._error = error

    def stop(self) -> None:
        """Let the current turn end.

        Raises:
            Exception: whatever a turn raised.
        """
        self._stopping.set()
        self.join()
        if self._error is not None:
            raise self._error


class HostileRequests:
    """Hostile bodies and clients, one after the other, each with its documented outcome."""

    def __init__(self, reference: Reference, address: Address) -> None:
        self.counts = HostileCounts()
        self._address = address
        self._row = reference.bodies[0]
        self._bodies = hostile_bodies(reference.manifest)

    def turns(self) -> Iterator[Callable[[], None]]:
        """The turns to take, without end."""
        while True:
            for client in HOSTILE_CLIENTS:
                yield lambda client=client: self._misuse(client)  # type: ignore[misc]
                for body in self._bodies:
                    yield lambda body=body: self._send(body)  # type: ignore[misc]

    def _misuse(self, client: HostileClient) -> None:
        try:
            outcome: object = client.misuse(self._address, self._row, _PATIENCE_SECONDS)
        except (NotClosed, OSError) as error:
            outcome = error
        self.counts.tried += 1
        if not (isinstance(outcome, tuple) and _is_documented(outcome, client)):
            self.counts.unexpected[f"{client.name}: {outcome}"] += 1

    def _send(self, body: HostileBody) -> None:
        connection = HTTPConnection(*self._address, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("POST", body.path, body.make(), {"content-type": body.content_type})
            outcome: object = connection.getresponse().status
        except (ConnectionError, HTTPException):  # it may close while a body that is too large is still being sent
            outcome = None
        except OSError as error:
            outcome = error
        finally:
            connection.close()
        self.counts.tried += 1
        if outcome not in (body.status, 503, None):
            self.counts.unexpected[f"{body.name}: {outcome}"] += 1


def _is_documented(outcome: tuple[int, ...], client: HostileClient) -> bool:
    """Whether the client got the documented answer, if it got any.

    A worker that is killed ends any connection, and a service over capacity refuses any request.
    """
    if outcome in (*client.outcomes, (), (503,)):
        return True
    same_length = (documented for documented in client.outcomes if len(documented) == len(outcome))
    return any(
        all(got in (right, 503) for got, right in zip(outcome, documented, strict=True)) for documented in same_length
    )


class Faults:
    """Faults of a service's surroundings. `models` is its bundle's folder, and is left as it was."""

    def __init__(self, service: Service, address: Address, models: Path, row: bytes) -> None:
        self.injected: Counter[str] = Counter()
        self.shed = 0
        self._service = service
        self._address = address
        self._models = models
        self._message = render(address, "/predict", row)
        self._version = 0

    def turns(self) -> Iterator[Callable[[], None]]:
        """The turns to take, without end."""
        kinds: list[tuple[str, Callable[[], None]]] = [
            ("new bundle", self._publish),
            ("damaged bundle", self._damage),
            ("idle connections", self._idle),
            ("burst of connections", self._burst),
        ]
        if len(workers(self._service.pid)) > 1:
            kinds.append(("killed worker", self._kill))
        for name, inject in itertools.cycle(kinds):
            yield lambda name=name, inject=inject: self._inject(name, inject)  # type: ignore[misc]

    def _inject(self, name: str, inject: Callable[[], None]) -> None:
        inject()
        self.injected[name] += 1

    def _publish(self) -> None:
        self._version += 1
        manifest = msgspec.structs.replace(read_manifest(self._models), version=f"soak-{self._version}")
        self._replace_manifest(encode_manifest(manifest))
        os.kill(self._service.pid, signal.SIGHUP)

    def _damage(self) -> None:
        whole = find_manifest(self._models).read_bytes()
        self._replace_manifest(whole[: len(whole) // 2])
        os.kill(self._service.pid, signal.SIGHUP)
        time.sleep(1)
        self._replace_manifest(whole)

    def _replace_manifest(self, content: bytes) -> None:
        new = self._models / "new"
        new.write_bytes(content)
        new.replace(find_manifest(self._models))

    def _idle(self) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(IDLE_CONNECTIONS):
                stack.enter_context(socket.create_connection(self._address, timeout=_PATIENCE_SECONDS))
            time.sleep(1)

    def _burst(self) -> None:
        """Requests on all connections at once, each of which gets a prediction or a 503."""
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
            for _ in range(BURST_CONNECTIONS):
                sock = stack.enter_context(socket.create_connection(self._address, timeout=_PATIENCE_SECONDS))
                waiting.register(sock, selectors.EVENT_READ)
            for key in list(waiting.get_map().values()):
                with contextlib.suppress(ConnectionError):
                    key.fileobj.sendall(self._message)  # type: ignore[union-attr]
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while waiting.get_map() and time.monotonic() < deadline:
                for key, _ in waiting.select(1):
                    waiting.unregister(key.fileobj)
                    with contextlib.suppress(ConnectionError):
                        self.shed += b" 503 " in key.fileobj.recv(32)  # type: ignore[union-attr]

    def _kill(self) -> None:
        """The youngest worker, so that the oldest one's memory reflects the whole soak."""
        with contextlib.suppress(psutil.NoSuchProcess):
            workers(self._service.pid)[-1].kill()


def workers(pid: int) -> list[psutil.Process]:
    """The worker processes of a service, oldest first; itself, if it has none."""
    root = psutil.Process(pid)
    found = []
    for child in root.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("spawn_main" in part for part in child.cmdline()):
                found.append(child)
    return sorted(found, key=psutil.Process.create_time) or [root]


def allow_files(connections: int) -> None:
    """Let this process hold that many connections at once.

    Raises:
        OSError: it may not.
    """
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except ValueError as error:
            raise OSError(
                f"{connections} connections are more than this process may hold: ulimit -n is {hard}"
            ) from error
