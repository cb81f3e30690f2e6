"""Which files a path names: those that hold tables, and all others, so that none is left out in silence."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from training.data.table_files import KINDS, is_table
from training.errors import TableError

NO_DATA = (".md", ".log", ".sh", ".py", ".crc", ".html", ".pdf", ".png", ".svg")
"""Files beside data that nobody takes for data; every other file that can't be read may hold rows."""

MAX_SHOWN = 5


class FoundFiles(NamedTuple):
    """Tables, sorted; files that may hold data but can't be read as tables; files that by convention hold none."""

    tables: list[Path]
    unreadable: list[Path]
    no_data: list[Path]


def find_tables(given: str) -> FoundFiles:
    """What `given` names: a file, a folder with all below it, or a glob; links are followed.

    In folders and globs, files and folders whose names start with a dot or an underscore are no data, by convention.

    Raises:
        TableError: there is no table, the one file named is of a kind that can't be read, or a folder can't be read.
    """
    path = Path(given).expanduser()
    if path.is_file():
        if not is_table(path):
            raise TableError(f"{path}: a file of this kind can't be read; {KINDS} can")
        return FoundFiles([path], [], [])
    if path.is_dir():
        found = _sort_out(path, _below(path))
    else:
        found = FoundFiles([], [], [])
        for match in sorted(set(map(Path, glob.glob(str(path), recursive=True)))):  # noqa: PTH207 - any glob
            below = _below(match) if match.is_dir() else iter([match])
            for all_files, more in zip(found, _sort_out(match.parent, below), strict=True):
                all_files.extend(file for file in more if file not in all_files)
    if not found.tables:
        files = [file.name for group in found for file in group]
        there = f" (but {', '.join(files[:MAX_SHOWN])}{' …' if len(files) > MAX_SHOWN else ''})" if files else ""
        raise TableError(f"{given}: no file there that can be read{there}; {KINDS} can")
    return found


def _below(folder: Path) -> Iterator[Path]:
    """All files below the folder, also by links to folders.

    Raises:
        TableError: a folder can't be read.
    """

    def fail(error: OSError) -> None:
        raise TableError(f"{error.filename}: can't be read: {error.strerror}")

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder that was read already, perhaps one around it
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


def _sort_out(root: Path, files: Iterator[Path]) -> FoundFiles:
    found = FoundFiles([], [], [])
    for file in sorted(files):
        hidden = any(part[0] in "._" for part in file.relative_to(root).parts)
        if hidden or file.suffix.lower() in NO_DATA:
            found.no_data.append(file)
        else:
            (found.tables if is_table(file) and file.is_file() else found.unreadable).append(file)
    return found
