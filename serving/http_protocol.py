"""uvicorn's HTTP protocol, with the head and the body of a response in one system call.

uvicorn hands them to the transport separately, and uvloop writes each at once: two system calls, two wake-ups of the
client. For answers of a hundred bytes that is a tenth of the whole request.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CoalescingTransport:
    """A transport that sends what is written within one turn of the event loop together, at the turn's end."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._pending: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send `data` soon."""
        self._pending.append(data)
        if len(self._pending) == 1:
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Send what is pending."""
        if self._pending:
            data = b"".join(self._pending) if len(self._pending) > 1 else self._pending[0]
            self._pending.clear()
            self._transport.write(data)

    def close(self) -> None:
        """Send what is pending, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """HttpToolsProtocol on a CoalescingTransport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop with a new connection."""
        coalescing = CoalescingTransport(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", coalescing))
