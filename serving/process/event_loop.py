"""uvloop, with a way to accept many connections at once, and with a listening socket for each worker."""

import asyncio
import logging
import sys
from collections.abc import Callable
from socket import SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET, socket
from typing import Any

import uvloop

from serving.process.private_folder import of_parent

logger = logging.getLogger("serving")

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class EventLoop(uvloop.Loop):
    """uvloop accepts one connection in a turn of the loop.

    That spreads new connections over the workers. But where a turn answers hundreds of requests, it takes minutes until
    a new client is heard at all, if only to be told that the service is over capacity.
    """

    def __init__(self) -> None:
        super().__init__()
        self._listening: list[tuple[socket, ProtocolFactory]] = []
        self._accepting: set[asyncio.Task[Any]] = set()

    async def create_server(self, protocol_factory: ProtocolFactory, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as asyncio's
        """As asyncio's; a socket that is given is one of those of `accept_waiting`. One of several workers listens at
        its address, on another socket.
        """
        if options.get("sock") is not None:
            if of_parent() is not None:
                options["sock"] = _at_address_of(options["sock"])
            self._listening.append((options["sock"], protocol_factory))
        return await super().create_server(protocol_factory, *arguments, **options)

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


def _at_address_of(shared: socket) -> socket:
    """A worker's own socket, so that the kernel deals the connections out to the workers.

    Whichever worker is idle takes all connections that wait at a shared one: often all of 32 that come at once.
    """
    if sys.platform != "linux":  # elsewhere one of the sockets gets all connections
        return shared
    own = socket(shared.family, shared.type)
    own.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    own.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    own.bind(shared.getsockname())
    return own
