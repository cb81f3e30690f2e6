"""Options that both commands take, and the exit statuses."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from bundle.command_line import Parser, file_path

FINE, FOUND, FAILED, DAMAGED = range(4)
"""Exit statuses: nothing was found; skew, change or drift was found; it could not be done, or wrong usage; nothing was
found, but not everything was looked at: the record is damaged or too small, or a service left rows unanswered."""

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""

_SPAN = re.compile(r"(\d+)([mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def add_record_options(parser: Parser) -> None:
    """`--record` and `--since`."""
    parser.add_argument("--record", type=file_path, required=True, help="folder that services recorded to")
    described = "only rows from then on: 2026-11-27, 2026-11-27T08:00 (UTC), or a time before now such as 24h, 7d"
    parser.add_argument("--since", type=point_in_time, help=described)


def point_in_time(text: str) -> datetime:
    """The type of an option that takes a date, a time (UTC unless it says otherwise), or a span before now."""
    try:
        if found := _SPAN.fullmatch(text):
            return datetime.now(UTC) - int(found[1]) * _UNITS[found[2]]
        given = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-27T08:00, 24h or 7d") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)
