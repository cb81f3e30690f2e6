"""Names that msgspec's structs can have in JSON."""

import re

_UNNAMEABLE = re.compile(r"[\"\\\x00-\x1f]")


def is_field_name(name: str) -> bool:
    """Whether msgspec can give a struct's field this name: all but those that JSON has to escape."""
    return _UNNAMEABLE.search(name) is None
