"""The honest clients of a soak: they send reference rows, check every answer, and try again if one is cut off."""

import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator

import gevent  # type: ignore[import-untyped]
import msgspec

from experiments.load.attempt import CUT_OFF, SHED, attempt
from load_testing.http_client import ClientConnection
from load_testing.payloads import Reference
from load_testing.scenarios import Address, PreparedRequest, prepare_requests

CLIENTS = 8
BATCH_ROWS = 100
SINGLES_PER_BATCH = 20
ATTEMPTS = 20
_TIMEOUT_SECONDS = 30.0
_PAUSE_SECONDS = 0.25
_REPORT_SECONDS = 60.0


class LoadCounts(msgspec.Struct):
    """`requests` and `rows` were answered correctly, at the first attempt or a later one.

    `shed` and `cut_off` attempts (a 503; a connection that broke) were tried again; `lost` requests were cut off each
    time. `wrong` has the faults of answers, by what was wrong.
    """

    requests: int = 0
    rows: int = 0
    shed: int = 0
    cut_off: int = 0
    lost: int = 0
    wrong: dict[str, int] = msgspec.field(default_factory=Counter)


class HonestClients:
    """Greenlets that keep a service busy until they are stopped."""

    def __init__(self, reference: Reference, address: Address) -> None:
        self.counts = LoadCounts()
        self._address = address
        self._singles = itertools.cycle(prepare_requests(reference, address, 1))
        self._batches = itertools.cycle(prepare_requests(reference, address, BATCH_ROWS))
        self._stopped = False

    def run(self, seconds: float) -> None:
        """Send requests for that time, and return when the last of them is answered."""
        clients = [gevent.spawn(self._send_on) for _ in range(CLIENTS)]
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            print(f"{left:.0f} s to go, {self.counts.requests:,} right answers", file=sys.stderr, flush=True)
            gevent.sleep(min(left, _REPORT_SECONDS))
        self._stopped = True
        gevent.joinall(clients, raise_error=True)

    def _send_on(self) -> None:
        connection = ClientConnection(self._address, _TIMEOUT_SECONDS)
        for request, rows in self._requests():
            self._send(connection, request, rows)
            if self._stopped:
                break
        connection.close()

    def _requests(self) -> Iterator[tuple[PreparedRequest, int]]:
        while True:
            yield from zip(itertools.islice(self._singles, SINGLES_PER_BATCH), itertools.repeat(1))
            yield next(self._batches), BATCH_ROWS

    def _send(self, connection: ClientConnection, request: PreparedRequest, rows: int) -> None:
        counts = self.counts
        for _ in range(ATTEMPTS):
            fault = attempt(connection, request, _PAUSE_SECONDS)
            if fault == CUT_OFF:
                counts.cut_off += 1
            elif fault == SHED:
                counts.shed += 1
            elif fault is None:
                counts.requests += 1
                counts.rows += rows
                return
            else:
                counts.wrong[fault] += 1
                return
        counts.lost += 1
