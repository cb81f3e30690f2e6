"""Which files a path names: those that hold tables, and all others, so that none is silently left out."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from training.data.table_files import KINDS, is_table
from training.errors import TableError

NO_DATA = (".md", ".log", ".sh", ".py", ".crc", ".html", ".pdf", ".png", ".svg")
"""Files that often lie beside data and are not data; every other file that can't be read may hold rows."""

MAX_SHOWN, MAX_LISTED = 5, 20


class FoundFiles(NamedTuple):
    """Tables, sorted; files that may hold data but can't be read as tables; files that by convention hold none."""

    tables: list[Path]
    unreadable: list[Path]
    no_data: list[Path]


def find_tables(given: str) -> FoundFiles:
    """The files that `given` names: a file, a folder with all below it, or a glob; links are followed.

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
        found = find_in_folder(path)
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


def find_in_folder(folder: Path) -> FoundFiles:
    """Find the tables below a folder, as `find_tables` does. A folder that doesn't exist has none.

    Raises:
        TableError: a folder can't be read.
    """
    return _sort_out(folder, _below(folder)) if folder.is_dir() else FoundFiles([], [], [])


def _below(folder: Path) -> Iterator[Path]:
    """All files below the folder, those behind links to folders included.

    Raises:
        TableError: a folder can't be read.
    """

    def fail(error: OSError) -> None:
        raise TableError(f"{error.filename}: can't be read: {error.strerror}")

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder that was read already, perhaps one that contains it
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


def listing(read: Sequence[tuple[object, int]], left_out: Sequence[str]) -> list[str]:
    """A listing for a person: the paths and row counts of the files that are read, and a line on each other file."""
    lines = [f"input    {_count(len(read))}, {sum(rows for _, rows in read):,} rows"]
    lines += [f"  {line}" for line in _first([f"{path}: {rows:,} rows" for path, rows in read])]
    if left_out:
        lines += [f"left out {_count(len(left_out))}", *(f"  {line}" for line in _first(left_out))]
    return lines


def all_of(problems: Sequence[str], done: str, hint: str = "") -> str:
    """One message for all problems, each of which names a file that can't be `done`; `hint` says what can be done."""
    hint = f"; {hint}" if hint else ""
    if len(problems) == 1:
        return f"{problems[0]}{hint}"
    return "\n  ".join([f"{_count(len(problems))} can't be {done}{hint}", *_first(problems)])


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"


def _first(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - MAX_LISTED:,} more"] if len(lines) > MAX_LISTED else []
    return [*lines[:MAX_LISTED], *more]
