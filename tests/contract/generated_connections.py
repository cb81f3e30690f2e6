"""Connections that hypothesis makes up: requests good and bad, one behind the other, in packets cut anywhere.

What is promised (docs/connections.md): every request is answered once, in order; a bad one is the last.
"""

import json
import socket
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

GOOD_ROW = b"<row>"
"""Stands for the example row's JSON in the requests below."""


@dataclass(frozen=True)
class Request:
    """What is sent, and the status that it is answered with; a request that is `last` ends the connection."""

    sent: bytes
    status: int
    last: bool = False

    def rendered(self, row: bytes) -> bytes:
        """The bytes to send, for the service's example row."""
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (row[:1], row[1:7], row[7:]))
        with_row = self.sent.replace(b"<length>", b"%d" % len(row)).replace(b"<chunks>", chunks + b"0\r\n\r\n")
        return with_row.replace(GOOD_ROW, row)


def post(path: bytes, body: bytes, *fields: bytes, status: int) -> Request:
    length = b"<length>" if body == GOOD_ROW else b"%d" % len(body)
    lines = (b"POST %s HTTP/1.1" % path, b"Host: x", b"Content-Length: " + length, *fields, b"", body)
    return Request(b"\r\n".join(lines), status)


def get(line: bytes, *fields: bytes, status: int, last: bool = False) -> Request:
    return Request(b"\r\n".join((line, *fields, b"", b"")), status, last=last)


GOOD = (
    get(b"GET /health HTTP/1.1", b"host: x", status=200),
    get(b"HEAD /metadata HTTP/1.1", b"Host: x", status=200),
    get(b"GET /nothing HTTP/1.1", status=404),
    get(b"DELETE /predict?a=b HTTP/1.1", b"host: x", status=405),
    get(b"\r\n\r\nGET /predict/ HTTP/1.1", b"host:", status=404),
    get(b"GET /health HTTP/1.1", b"connection: Upgrade", b"upgrade: websocket", status=200),
    post(b"/predict", GOOD_ROW, status=200),
    post(b"/predict", GOOD_ROW, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", status=200),
    post(b"/predict", b"GET /metrics HTTP/1.1\r\n\r\n", b"connection: upgrade", b"upgrade: x", status=400),
    post(b"/predict", b"{}", status=422),
    post(b"/predict", b"\xef\xbb\xbf{}", status=400),
    post(b"/predict", GOOD_ROW, b"content-encoding: gzip", status=415),
    post(b"/predict", GOOD_ROW, b"content-encoding: identity", b"content-encoding: gzip", status=415),
    Request(b"PUT /predict HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 405),
    post(b"/health", b"0\r\n\r\n", status=405),
    Request(b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n<chunks>", 200),
)
LAST = (
    get(b"GET /health HTTP/1.1", b"Connection: close", status=200, last=True),
    get(b"GET /health HTTP/1.0", status=200, last=True),
    get(b"GET http://x/health HTTP/1.1", b"host: x", status=400, last=True),
    get(b"GET http://x HTTP/1.1", status=400, last=True),
    get(b"GET /health#x HTTP/1.1", status=400, last=True),
    get(b"CONNECT x:443 HTTP/1.1", status=400, last=True),
    get(b"OPTIONS * HTTP/1.1", status=400, last=True),
    get(b"GET /health HTTP/2.0", status=400, last=True),
    get(b"PRI * HTTP/2.0", b"", b"SM", status=400, last=True),
    get(b"GET /health", status=400, last=True),
    get(b"BREW / HTTP/1.1", status=400, last=True),
    get(b"GET  /health HTTP/1.1", status=400, last=True),
    get(b"GET /health HTTP/1.1", b"a : b", status=400, last=True),
    get(b"GET /health HTTP/1.1", b"a: b", b" c", status=400, last=True),
    get(b"GET /health HTTP/1.1", b"a: \x00", status=400, last=True),
    get(b"GET /health HTTP/1.1", b"host: x", b"Host: x", status=400, last=True),
    get(b"GET /health HTTP/1.1", *[b"a:b"] * 101, status=431, last=True),
    get(b"GET /health HTTP/1.1", b"a: " + b"b" * (64 << 10), status=431, last=True),
    Request(b"GET /health HTTP/1.1\nhost: x\n\n", 400, last=True),
    Request(b"GET /health HTTP/1.1\r\nhost: x\na: b\r\n\r\n", 400, last=True),
    Request(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, last=True),
    get(b"POST /predict HTTP/1.1", b"Content-Length: 1", b"Content-Length: 1", status=400, last=True),
    get(b"POST /predict HTTP/1.1", b"Content-Length: +1", status=400, last=True),
    get(b"POST /predict HTTP/1.1", b"Content-Length: 1", b"Transfer-Encoding: chunked", status=400, last=True),
    get(b"POST /predict HTTP/1.1", b"Transfer-Encoding: chunked", b"Content-Length: 1", status=400, last=True),
    get(b"POST /predict HTTP/1.1", b"Transfer-Encoding: gzip, chunked", status=400, last=True),
    get(b"POST /predict HTTP/1.0", b"Transfer-Encoding: chunked", status=400, last=True),
    get(b"POST /predict HTTP/1.1", b"transfer-encoding: chunked", b"", b"zz", status=400, last=True),
)


@dataclass(frozen=True)
class Conversation:
    """Requests, in packets that end at the given shares of all bytes; behind the last one may be anything."""

    requests: tuple[Request, ...]
    behind: bytes
    cuts: tuple[float, ...]

    def packets(self, row: bytes) -> list[bytes]:
        """What is sent at once each time."""
        sent = b"".join(request.rendered(row) for request in self.requests) + self.behind
        ends = [0, *sorted(int(cut * len(sent)) for cut in self.cuts), len(sent)]
        return [sent[a:b] for a, b in pairwise(ends) if a < b]


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    requests = draw(st.lists(st.sampled_from(GOOD), max_size=8))
    behind = b""
    if draw(st.booleans()):
        requests.append(draw(st.sampled_from(LAST)))
        behind = draw(st.sampled_from((b"", b"GET /health HTTP/1.1\r\n\r\n", b"\r\n\r\n", bytes(range(256)) * 40)))
    elif draw(st.booleans()):
        behind = draw(st.sampled_from((b"GET /hea", b"POST /predict HTTP/1.1\r\nhost: x\r\n", b"G", b"\r\n")))
    cuts = draw(st.lists(st.floats(0, 1), max_size=6))
    return Conversation(tuple(requests), behind, tuple(cuts))


def answers(port: int, packets: list[bytes], methods: list[str]) -> list[int]:
    """Send the packets and no more; the statuses of all answers, each of which must be whole, up to the end.

    Raises:
        ConnectionError: the connection was reset.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for packet in packets:
            sock.sendall(packet)
        sock.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    statuses = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, head
        lines = head.lower().split(b"\r\n")
        assert lines[0].startswith((b"http/1.1 ", b"http/1.0 ")), lines[0]
        length = next(int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        if len(statuses) < len(methods) and methods[len(statuses)] == "HEAD":
            length = 0
        content, received = received[:length], received[length:]
        assert len(content) == length
        if content and b"content-type: application/json" in lines:
            json.loads(content)
        statuses.append(int(lines[0].split()[1]))
    return statuses
