"""Request bodies that no honest client sends, and the status that each is answered with.

Made from any bundle's example row. A body is bad in one way only, so that its answer shows what became of that way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from bundle.manifest import Feature, Manifest

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
    good = msgspec.json.encode(row)
    number, text = (_first(manifest, numeric) for numeric in (True, False))
    one = "/predict"

    def value(feature: Feature | None, literal: bytes) -> bytes:
        """The good row with one value as it is written here, which may be no JSON."""
        members = (
            msgspec.json.encode(name)
            + b":"
            + (literal if feature is not None and name == feature.name else msgspec.json.encode(example))
            for name, example in row.items()
        )
        return b"{" + b",".join(members) + b"}"

    bodies = [
        HostileBody("another content type", one, lambda: good, 200, "text/plain"),
        HostileBody("a form's content type", one, lambda: good, 200, "application/x-www-form-urlencoded"),
        HostileBody("empty", one, bytes, 400),
        HostileBody("white space", one, lambda: b" \r\n\t" * 1000, 400),
        HostileBody("truncated in the middle", one, lambda: good[: len(good) // 2], 400),
        HostileBody("truncated by one byte", one, lambda: good[:-1], 400),
        HostileBody("something after the end", one, lambda: good + b"}", 400),
        HostileBody("a byte order mark", one, lambda: BYTE_ORDER_MARK + good, 400),
        HostileBody("UTF-16", one, lambda: good.decode().encode("utf-16"), 400),
        HostileBody("NUL bytes", one, lambda: bytes(1000), 400),
        HostileBody("a NUL between members", one, lambda: good.replace(b",", b",\0", 1), 400),
        HostileBody("arrays nested deeply", one, lambda: b"[" * DEPTH + b"]" * DEPTH, 422),
        HostileBody("a key twice", one, lambda: good[:-1] + b"," + good[1:], 200),
        HostileBody("an array for a row", one, lambda: b"[" + good + b"]", 422),
        HostileBody("null", one, lambda: b"null", 422),
        HostileBody("an empty array", "/predict/batch", lambda: b"[]", 422),
        HostileBody("arrays of arrays", "/predict/batch", lambda: b"[" + b",".join([b"[[1],[2]]"] * 1000) + b"]", 422),
        HostileBody(
            "a million empty rows", "/predict/batch", lambda: b"[" + b",".join([b"{}"] * TINY_ROWS) + b"]", 422
        ),
        HostileBody("a million numbers", "/predict/batch", lambda: b"[" + b",".join([b"1"] * TINY_ROWS) + b"]", 422),
        HostileBody("100 MB of space", one, lambda: b" " * HUGE_BYTES, 413),
        HostileBody("100 MB in one string", "/predict/batch", lambda: b'["' + b"a" * HUGE_BYTES, 413),
    ]
    if number is not None:
        literals = ((b"NaN", 400), (b"Infinity", 400), (b"-Infinity", 400), (b"1e999", 422), (b"1e39", 422))
        others = ((b"9" * 5000, 422), (b"0x10", 400), (b"01", 400), (b"1.", 400), (b"+1", 400), (b"true", 422))
        for literal, status in (*literals, *others):
            name = f"the number {literal[:20].decode()}"
            bodies.append(HostileBody(name, one, _later(value(number, literal)), status))
        nested = value(number, b"[" * DEPTH + b"]" * DEPTH)
        bodies.append(HostileBody("arrays nested deeply in a value", one, _later(nested), 422))
    if text is not None:
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
        bodies += [
            HostileBody(name, one, _later(value(text, literal)), status) for name, (literal, status) in strings.items()
        ]
    return bodies


def _first(manifest: Manifest, numeric: bool) -> Feature | None:  # noqa: FBT001 - named where it is called
    features: Sequence[Feature] = manifest.numeric if numeric else manifest.categorical
    return next(iter(features), None)


def _later(body: bytes) -> Callable[[], bytes]:
    return lambda: body
