"""Reads one request at a time from a connection's bytes: httptools (llhttp) parses it, and this decides what is
refused.

The parser gets each head as a whole, and then no byte beyond its body. So the requests after it stay bytes, which can
be counted and left where they are, and an unfinished head costs no more memory than its length.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from serving.errors import BadRequestHead, HeadTooLarge
from serving.process.connections import FRAMING_BYTES, HEAD_BYTES, MAX_FIELDS

HEAD_END = b"\r\n\r\n"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY"))
"""HTTP's methods that act on a resource; CONNECT asks for a tunnel."""

_ONCE = frozenset((b"host", b"content-length", b"transfer-encoding"))
"""Fields that two readers of a request could understand differently if there were several."""

_FRAMING = _ONCE | {b"expect"}
_UPGRADE = re.compile(rb"(?i)(?<=\r\n)upgrade:[^\r\n]*\r\n")
_REQUEST_LINE = re.compile(rb"[A-Z]+ /[^ ]* HTTP/1\.[01]\r")
_REQUEST_LINE_START = re.compile(rb"[A-Z]{1,16}( .*)?")


@dataclass(slots=True)
class RequestHead:
    """A request's head. `length` is its body's, None for a chunked one; `headers` have lower-case names."""

    method: str
    version: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    length: int | None
    keep_alive: bool
    expects_continue: bool


def decode_path(raw_path: bytes) -> str:
    """The path of a checked target, percent-decoded."""
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path


def check_unfinished(head: bytes | bytearray) -> None:
    """Refuse bytes that can no longer become a head, whatever follows.

    Raises:
        HeadTooLarge: it has too many bytes or fields.
        BadRequestHead: it does not begin as HTTP/1.1 does, or has a line that ends with LF alone.
    """
    lines = head.count(b"\n")
    _check_size(len(head), lines - 1)
    if lines == 0:
        if not _REQUEST_LINE_START.fullmatch(head):
            raise BadRequestHead("it does not begin with a method and a target")
    elif lines != head.count(b"\r\n"):
        raise BadRequestHead("a line ends with LF, not with CR LF")
    elif not _REQUEST_LINE.fullmatch(head, 0, head.index(b"\n")):
        raise BadRequestHead("the request line is not METHOD /path HTTP/1.1")


def _check_size(size: int, fields: int) -> None:
    if size > HEAD_BYTES:
        raise HeadTooLarge("bytes", HEAD_BYTES)
    if fields > MAX_FIELDS:
        raise HeadTooLarge("fields", MAX_FIELDS)


class RequestParser:
    """Reads one request after the other: `head`, then `body` until it is `complete`."""

    def __init__(self) -> None:
        self.complete = True
        self._parser = HttpRequestParser(self)
        self._parts: list[bytes] = []
        self._headers: list[tuple[bytes, bytes]] = []
        self._framing: dict[bytes, bytes] = {}
        self._method = self._version = ""
        self._target = self._repeated = b""
        self._in_head = self._keep_alive = False
        self._framing_left = 0

    def head(self, head: bytes) -> RequestHead:
        """Read a request's head, from its first byte to its empty line.

        Raises:
            HeadTooLarge: it has too many bytes or fields.
            BadRequestHead: it is not HTTP, or uses something that this service does not support.
        """
        _check_size(len(head), head.count(b"\n") - 2)
        try:
            self._read_head(head)
        except HttpParserUpgrade:
            if self._method == "CONNECT":
                raise BadRequestHead("CONNECT is not served") from None
            # The service never upgrades, so the field is ignored; but llhttp assumes that what follows is not HTTP.
            self._parser = HttpRequestParser(self)
            try:
                self._read_head(_UPGRADE.sub(b"", head))
            except (HttpParserError, HttpParserUpgrade) as error:
                raise BadRequestHead(str(error)) from None
        except HttpParserError as error:
            raise BadRequestHead(str(error)) from None
        return self._checked(head.index(b"\r"))

    def body(self, data: bytes | memoryview) -> bytes:
        """The content in the next bytes of the body, which must not go beyond its end.

        Raises:
            BadRequestHead: it is not chunked correctly, or the sizes, extensions and trailers of its chunks take over
                FRAMING_BYTES more than its content.
        """
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise BadRequestHead(str(error)) from None
        parts, self._parts = self._parts, []
        content = parts[0] if len(parts) == 1 else b"".join(parts)
        if len(content) != len(data):
            self._framing_left -= len(data) - 2 * len(content)
            if self._framing_left < 0:
                raise BadRequestHead("sizes, extensions and trailers of the chunks are much longer than their content")
        return content

    def _read_head(self, head: bytes) -> None:
        self._headers = []
        self._framing = {}
        self._method = self._version = ""
        self._target = self._repeated = b""
        self._in_head, self.complete = True, False
        self._framing_left = FRAMING_BYTES
        self._parser.feed_data(head)

    def _checked(self, line_bytes: int) -> RequestHead:
        expected = len(self._method) + len(self._target) + len("  HTTP/1.1")
        if self._in_head or self._version not in ("1.1", "1.0") or line_bytes != expected:
            raise BadRequestHead("the request line is not METHOD /path HTTP/1.1")
        if self._method not in METHODS:
            raise BadRequestHead("the method is not one of HTTP")
        if not self._target.startswith(b"/") or b"#" in self._target:
            raise BadRequestHead("a target begins with / and has no #")
        if self._repeated:
            raise BadRequestHead(f"{self._repeated.decode()} is there more than once")
        framing = self._framing
        if (encoding := framing.get(b"transfer-encoding")) is None:
            length = int(framing.get(b"content-length", 0))
        elif encoding.strip().lower() != b"chunked" or self._version != "1.1":
            raise BadRequestHead("the transfer encoding is not chunked")
        else:
            length = None
        expects_continue = framing.get(b"expect", b"").strip().lower() == b"100-continue" and self._version == "1.1"
        keep_alive = self._keep_alive and self._version == "1.1"
        return RequestHead(
            self._method, self._version, self._target, self._headers, length, keep_alive, expects_continue
        )

    def on_url(self, target: bytes) -> None:
        """Called by the parser with the request line's target."""
        self._target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser with a header field, and with a trailer, which is ignored."""
        if self._in_head:
            name = name.lower()
            if name in _FRAMING:
                if name in self._framing and name in _ONCE:
                    self._repeated = name
                self._framing[name] = value
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Called by the parser at the end of a head, the only time when it knows these."""
        self._in_head = False
        self._method = self._parser.get_method().decode("ascii")
        self._version = self._parser.get_http_version()
        self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        """Called by the parser with content."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Called by the parser at a request's last byte."""
        self.complete = True
