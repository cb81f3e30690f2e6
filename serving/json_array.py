"""Cut a JSON array of objects into smaller arrays without parsing it: a large one is worked on in pieces."""

import re
from collections.abc import Iterator

_BETWEEN_OBJECTS = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")


def split_array(body: bytes, piece_bytes: int) -> Iterator[bytes]:
    """Pieces of about `piece_bytes`; if all of them are valid JSON arrays, they hold the elements of `body` in order.

    The cuts are made where an object seems to end and the next to begin. If that was inside a string or inside a nested
    object instead, the piece before the cut has an open string or bracket, and is not valid. So a caller that finds all
    pieces valid has parsed the array, and one that does not must parse `body` itself.
    """
    start, opening = 0, b""
    while len(body) - start > piece_bytes:
        cut = _BETWEEN_OBJECTS.search(body, start + piece_bytes)
        if cut is None:
            break
        yield opening + body[start : cut.start() + 1] + b"]"
        start, opening = cut.end(), b"["
    yield opening + body[start:]
