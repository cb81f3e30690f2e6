"""`make report`: gather the reports that are there into one page, and print their key figures.

Exit status: 0 written, 1 not written because of an error.
"""

import sys
from pathlib import Path

from bundle.command_line import Parser, file_path
from experiments.report.files import replace_file
from experiments.report.page import read_entries, render_page, summary_lines
from experiments.report.page_errors import ReportError


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 written, 1 not written because of an error."""
    parser = Parser("experiments report", __doc__.partition("\n")[0])
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder of the reports")
    given = parser.read(arguments)
    page = given.reports / "index.html"
    try:
        entries = read_entries(given.reports)
        replace_file(page, render_page(entries).encode())
    except ReportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {page}: {error.strerror}", file=sys.stderr)
        return 1
    print(*summary_lines(entries), "", page, sep="\n")
    return 0
