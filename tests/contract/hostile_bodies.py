"""Request bodies that no honest client sends, and the status that each is answered with.

Made from any bundle's example row. A body is bad in one way only, so that its answer shows what became of that way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from bundle.manifest import Manifest

DEPTH = 100_000
TINY_ROWS = 1_000_000
HUGE_BYTES = 100 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class HostileBody:
    """`make` builds the body, which may be large. `status` is the documented answer."""

    name: str
    path: str
    make: Callable[[], bytes]
    status: int
    content_type: str = "application/json"


def hostile_bodies(manifest: Manifest) -> list[HostileBody]:
    """All of them, for `/predict` unless they are made of many rows."""
    row = {feature.name: feature.example for feature in manifest.features}
    bodies = _whole_bodies(msgspec.json.encode(row))
    if manifest.numeric:
        bodies += _numbers(partial(_with_value, row, manifest.numeric[0].name))
    if manifest.categorical:
        bodies += _strings(partial(_with_value, row, manifest.categorical[0].name))
    return bodies


def _with_value(row: Mapping[str, object], name: str, literal: bytes) -> bytes:
    """The row with one value as it is written here, which may be no JSON."""
    encode = msgspec.json.encode
    members = (encode(key) + b":" + (literal if key == name else encode(value)) for key, value in row.items())
    return b"{" + b",".join(members) + b"}"


def _whole_bodies(good: bytes) -> list[HostileBody]:
    return [
        HostileBody("another content type", "/predict", lambda: good, 200, "text/plain"),
        HostileBody("a form's content type", "/predict", lambda: good, 200, "application/x-www-form-urlencoded"),
        HostileBody("empty", "/predict", bytes, 400),
        HostileBody("white space", "/predict", lambda: b" \r\n\t" * 1000, 400),
        HostileBody("truncated in the middle", "/predict", lambda: good[: len(good) // 2], 400),
        HostileBody("truncated by one byte", "/predict", lambda: good[:-1], 400),
        HostileBody("something after the end", "/predict", lambda: good + b"}", 400),
        HostileBody("a byte order mark", "/predict", lambda: BYTE_ORDER_MARK + good, 400),
        HostileBody("UTF-16", "/predict", lambda: good.decode().encode("utf-16"), 400),
        HostileBody("NUL bytes", "/predict", lambda: bytes(1000), 400),
        HostileBody("a NUL between members", "/predict", lambda: good.replace(b",", b",\0", 1), 400),
        HostileBody("arrays nested deeply", "/predict", lambda: b"[" * DEPTH + b"]" * DEPTH, 422),
        HostileBody("a key twice", "/predict", lambda: good[:-1] + b"," + good[1:], 200),
        HostileBody("an array for a row", "/predict", lambda: b"[" + good + b"]", 422),
        HostileBody("null", "/predict", lambda: b"null", 422),
        HostileBody("an empty array", "/predict/batch", lambda: b"[]", 422),
        HostileBody("arrays of arrays", "/predict/batch", lambda: b"[" + b",".join([b"[[1],[2]]"] * 1000) + b"]", 422),
        HostileBody(
            "a million empty rows", "/predict/batch", lambda: b"[" + b",".join([b"{}"] * TINY_ROWS) + b"]", 422
        ),
        HostileBody("a million numbers", "/predict/batch", lambda: b"[" + b",".join([b"1"] * TINY_ROWS) + b"]", 422),
        HostileBody("100 MB of space", "/predict", lambda: b" " * HUGE_BYTES, 413),
        HostileBody("100 MB in one string", "/predict/batch", lambda: b'["' + b"a" * HUGE_BYTES, 413),
    ]


def _numbers(with_value: Callable[[bytes], bytes]) -> list[HostileBody]:
    bodies = []
    literals = ((b"NaN", 400), (b"Infinity", 400), (b"-Infinity", 400), (b"1e999", 422), (b"1e39", 422))
    others = ((b"9" * 5000, 422), (b"0x10", 400), (b"01", 400), (b"1.", 400), (b"+1", 400), (b"true", 422))
    for literal, status in (*literals, *others):
        name = f"the number {literal[:20].decode()}"
        bodies.append(HostileBody(name, "/predict", _later(with_value(literal)), status))
    nested = with_value(b"[" * DEPTH + b"]" * DEPTH)
    bodies.append(HostileBody("arrays nested deeply in a value", "/predict", _later(nested), 422))
    return bodies


def _strings(with_value: Callable[[bytes], bytes]) -> list[HostileBody]:
    strings = {
        "a lone surrogate": (rb'"\ud800"', 400),
        "surrogates in the wrong order": (rb'"\udc00\ud800"', 400),
        "invalid UTF-8": (b'"\xff\xfe"', 400),
        "an overlong encoding": (b'"\xc0\xaf"', 400),
        "an encoded surrogate": (b'"\xed\xa0\x80"', 400),
        "a control character": (b'"\x01"', 400),
        "an escaped NUL": (rb'"\u0000"', 200),
        "an escape that is none": (rb'"\x"', 400),
        "a string of a mebibyte": (b'"' + b"a" * (1 << 20) + b'"', 200),
    }
    return [
        HostileBody(name, "/predict", _later(with_value(literal)), status)
        for name, (literal, status) in strings.items()
    ]


def _later(body: bytes) -> Callable[[], bytes]:
    return lambda: body
