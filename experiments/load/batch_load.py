"""Two client processes that keep a service busy with large batches."""

import http.client
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized

from load_testing.payloads import Reference, batch_body
from load_testing.scenarios import Address
from load_testing.services import ServiceError

BATCH_ROWS = 10_000
BATCH_CLIENTS = 2
START_SECONDS = 60.0


def send_batches(address: Address, body: bytes, sent: "Synchronized[int]") -> None:
    """Send the batch again and again, and count the answers in `sent`."""
    if hasattr(os, "nice"):
        os.nice(19)  # the service is measured: the client must not compete with it for the CPU
    connection = http.client.HTTPConnection(*address, timeout=60)
    while True:
        connection.request("POST", "/predict/batch", body)
        connection.getresponse().read()
        with sent.get_lock():
            sent.value += 1


@contextmanager
def batch_load(address: Address, reference: Reference) -> Iterator["Synchronized[int]"]:
    """Two client processes that send large batches; the value counts those that were answered."""
    bodies = reference.bodies
    body = batch_body(bodies[i % len(bodies)] for i in range(BATCH_ROWS))
    context = multiprocessing.get_context("spawn")
    sent: Synchronized[int] = context.Value("i", 0)
    clients = [context.Process(target=send_batches, args=(address, body, sent)) for _ in range(BATCH_CLIENTS)]
    for client in clients:
        client.start()
    try:
        _await_answers(clients, sent)
        yield sent
        _check_alive(clients)
    finally:
        for client in clients:
            client.kill()
            client.join()


def _await_answers(clients: Sequence[BaseProcess], sent: "Synchronized[int]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while sent.value < BATCH_CLIENTS:
        _check_alive(clients)
        if time.monotonic() > deadline:
            raise ServiceError(f"{sent.value} batches were answered within {START_SECONDS:g} s: too few to load it")
        time.sleep(0.01)


def _check_alive(clients: Sequence[BaseProcess]) -> None:
    for client in clients:
        if client.exitcode is not None:
            raise ServiceError(f"a client that sends the batches ended by itself, with status {client.exitcode}")
