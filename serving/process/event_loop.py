"""uvloop, with a way to accept many connections at once."""

import asyncio
import logging
from collections.abc import Callable
from socket import socket
from typing import Any

import uvloop

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
        """As asyncio's; a listening socket that is given is one of those of `accept_waiting`."""
        server = await super().create_server(protocol_factory, *arguments, **options)
        if (listening := options.get("sock")) is not None:
            self._listening.append((listening, protocol_factory))
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
