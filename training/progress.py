"""Progress of long tasks: a bar in a terminal, a line now and then in a log."""

import sys
from typing import Any, Never, TextIO

from tqdm import tqdm

TERMINAL_SECONDS, LOG_SECONDS = 0.1, 15.0
"""How often the progress is written."""

LINE = "{desc}: {n_fmt}/{total_fmt} {unit}, {elapsed}{postfix}"


class _Lines:
    """Writes as separate lines what would be written over itself in a terminal."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._last = ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != self._last:
            self._file.write(f"{line}\n")
            self._last = line

    def flush(self) -> None:
        self._file.flush()


def progress_bar(description: str, unit: str, *, file: TextIO | None = None, **options: Any) -> "tqdm[Never]":  # noqa: ANN401
    """A tqdm bar, of `total` units if it is among the options, on stderr or `file`."""
    file = file or sys.stderr
    if file.isatty():
        return tqdm(desc=description, unit=unit, file=file, mininterval=TERMINAL_SECONDS, **options)
    lines = _Lines(file)
    return tqdm(desc=description, unit=unit, file=lines, mininterval=LOG_SECONDS, bar_format=LINE, **options)
