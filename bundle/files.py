"""Writing the files of a report."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write the files of a report, each whole or not at all, replacing earlier ones. Returns their paths.

    Raises:
        OSError: they can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pending-") as pending:
        for name, content in contents.items():
            (Path(pending) / name).write_bytes(content)
        for name in contents:
            (Path(pending) / name).replace(folder / name)
    return [folder / name for name in contents]


def encode_result(result: msgspec.Struct) -> bytes:
    """A result as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(result)) + b"\n"
