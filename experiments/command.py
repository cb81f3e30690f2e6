"""What the commands of this package have in common: options, the result's files, and its tables in the terminal."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from bundle.command_line import file_path
from bundle.result import Result, write_result
from bundle.table import to_text


def add_folders(parser: argparse.ArgumentParser, *, models: bool = True) -> None:
    """`--reports`, and `--models` for commands that measure a bundle."""
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder of the reports")
    if models:
        parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")


def publish(result: Result, reports: Path, others: Mapping[str, bytes] | None = None) -> int:
    """Print the result's tables, write its files, and print their paths.

    Exit status: 0 everything was right, 1 there was a wrong answer or a failure.

    Raises:
        OSError: the files can't be written.
    """
    for table in result.tables():
        print(f"{table.title}\n\n{to_text(table)}\n")
    print(*write_result(result, reports, others), sep="\n")
    return 0 if result.ok else 1
