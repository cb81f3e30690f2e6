"""uvloop, with a way to accept many connections at once, and with a listening socket for each worker."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from socket import SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET, socket
from typing import Any, NoReturn

import uvloop

from serving.process.private_folder import of_parent

logger = logging.getLogger("serving")

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class EventLoop(uvloop.Loop):
    """uvloop accepts one connection in a turn of the loop.

    That spreads new connections over the workers. But when each turn answers hundreds of requests, it takes minutes
    until a new client gets any answer, if only that the service is over capacity.
    """

    def __init__(self) -> None:
        super().__init__()
        self._listening: list[tuple[socket, ProtocolFactory]] = []
        self._accepting: set[asyncio.Task[Any]] = set()

    async def create_server(self, protocol_factory: ProtocolFactory, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as asyncio's
        """As asyncio's; `accept_waiting` accepts from a socket that is given. One of several workers listens on another
        socket at the same address, and tells its parent that it does, or why it can't.
        """
        given, private = options.get("sock"), of_parent()
        if given is None:
            return await super().create_server(protocol_factory, *arguments, **options)
        try:
            if private is not None:
                options["sock"] = _at_address_of(given)
            server = await super().create_server(protocol_factory, *arguments, **options)
        except OSError as error:
            _give_up(given, error)
        self._listening.append((options["sock"], protocol_factory))
        if private is not None:
            private.ready.touch()
        return server

    def accept_waiting(self, limit: int) -> None:
        """Accept the connections that are waiting now, at most `limit` for each listening socket."""
        for listening, protocol_factory in self._listening:
            for _ in range(limit):
                try:
                    connection, _address = listening.accept()
                except OSError as error:
                    if not isinstance(error, BlockingIOError | ConnectionAbortedError) and listening.fileno() >= 0:
                        logger.warning("no connection can be accepted: %s", error)
                    break
                task = self.create_task(self.connect_accepted_socket(protocol_factory, connection))
                self._accepting.add(task)
                task.add_done_callback(self._accepting.discard)


def _give_up(given: socket, error: OSError) -> NoReturn:
    """End the process, which can't listen, at once: uvicorn would shut the application down as if it had failed."""
    host, port, *_ = given.getsockname()
    reason = f"{host} port {port} can't be listened at: {error.strerror}"
    if (private := of_parent()) is not None:
        private.write_failure(reason)
    logger.error(reason)
    logging.shutdown()
    os._exit(1)


def _at_address_of(shared: socket) -> socket:
    """A worker's own socket, so that the kernel distributes the connections over the workers.

    Of a shared socket, whichever worker is idle takes all waiting connections: often all of 32 that arrive at once.
    """
    if sys.platform != "linux":  # elsewhere one of the sockets gets all connections
        return shared
    own = socket(shared.family, shared.type)
    own.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    own.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    own.bind(shared.getsockname())
    return own
