"""The names of the record's files: when one was begun, by which service and process, and its number in that process."""

import re
from datetime import UTC, datetime, timedelta

WHOLE = re.compile(
    r"record-([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-(?:onnx|pickle|axum)-([0-9]{1,20})-([0-9]{1,20})\.jsonl\.gz", re.ASCII
)
UNFINISHED = re.compile(rf"\.({WHOLE.pattern})\.part", re.ASCII)


def age(name: str) -> tuple[str, int, int]:
    """The sort key of whole files' names, the oldest first: time, process, and the number in it."""
    found = WHOLE.fullmatch(name)
    return (found[1], int(found[2]), int(found[3])) if found else ("", 0, 0)


def unfinished(name: str) -> str:
    """The name of a whole file before it is finished."""
    return f".{name}.part"


class Clock:
    """The time in file names. It never goes back, so that a younger file of a process has the later name."""

    def __init__(self) -> None:
        self._last = datetime.fromtimestamp(0, UTC)

    def now(self) -> str:
        """The current time, or a microsecond after the last call's if the clock has been set back since."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return f"{self._last:%Y%m%dT%H%M%S.%fZ}"
