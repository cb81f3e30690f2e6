"""Names that msgspec's structs can have in JSON."""

import re

_UNNAMEABLE = re.compile(r"[\"\\\x00-\x1f]")


def is_field_name(name: str) -> bool:
    """Whether msgspec can give a struct's field this name: it can unless JSON has to escape it."""
    return _UNNAMEABLE.search(name) is None
