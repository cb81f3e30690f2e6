"""Reading result files, and writing the page whole or not at all."""

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar, get_origin

import msgspec

from experiments.report.page_errors import ReportError

T = TypeVar("T")


def decode(path: Path, kind: type[T]) -> T:
    """The result that a JSON file holds.

    Raises:
        ReportError: it can't be read, or isn't such a result.
    """
    try:
        return msgspec.json.decode(read(path), type=kind, dec_hook=_counter)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: not a result that this code reads: {error}; measure again, or remove it") from error


def _counter(kind: type, content: object) -> Any:  # noqa: ANN401  as msgspec wants it
    """A Counter, which msgspec writes as an object, but leaves to the caller to read."""
    if (get_origin(kind) or kind) is not Counter:
        raise NotImplementedError(f"{kind} in a result")
    return Counter(msgspec.convert(content, dict[str, int]))


def read(path: Path) -> bytes:
    """The file's content.

    Raises:
        ReportError: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from error


def read_svg(path: Path) -> bytes:
    """An SVG picture.

    Raises:
        ReportError: it can't be read, or isn't SVG from beginning to end.
    """
    content = read(path)
    if b"<svg" not in content[:2000] or not content.rstrip().endswith(b"</svg>"):
        raise ReportError(f"{path}: not a whole SVG picture; measure again, or remove it")
    return content


def replace_file(path: Path, content: bytes) -> None:
    """Write beside the path and move into place. Raises OSError, and then leaves what was there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    pending = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        pending.chmod(0o644)
        pending.replace(path)
    finally:
        pending.unlink(missing_ok=True)
