"""Files that polars writes: there whole or not at all, with one error for whatever keeps them from being written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polars.exceptions import ComputeError

from bundle.files import replacing


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` at the end, as `bundle.files.replacing` has it.

    Raises:
        OSError: the file can't be written. polars raises errors of its own kind for some full disks.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except (OSError, ComputeError) as error:
        raise OSError(f"{path}: can't be written: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rpartition("IO error: ")[2].partition(" (os error")[0]
