"""A table of texts, made once by the code that knows its meaning, and its three forms: terminal, Markdown and HTML."""

import html
import math
import re
import unicodedata
from dataclasses import dataclass

_EMPHASISED = re.compile(r"\*\*(.+?)\*\*")


@dataclass(frozen=True)
class Table:
    """Rows of texts under column headings.

    Columns in `words` are aligned left; the others hold numbers. `failed` has the indices of the rows that report a
    failure. A part of a text between double asterisks (`**0.7x**`) is emphasised. `notes` go below the table.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset({0})
    failed: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def printable(text: str) -> str:
    """The text on one line, with unprintable characters escaped: names come from files and services that anybody may
    have written, and must neither control a terminal nor look like separate lines.
    """
    if text.isprintable():
        return text
    return "".join(one.encode("unicode_escape").decode() if _controls(one) else one for one in text)


def _controls(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp")  # unusual spaces are fine


def to_text(table: Table) -> str:
    """For a terminal: columns under their headings, without the title; unprintable characters are escaped."""
    lines = [tuple(map(printable, table.heads))]
    lines += [tuple(printable(_EMPHASISED.sub(r"\1", text)) for text in row) for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        "  ".join(
            text.ljust(width) if column in table.words else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*aligned, *map(printable, table.notes)])


def to_markdown(table: Table) -> str:
    """The table, and its notes as a list below; without the title."""
    lines = [
        _markdown_row(table.heads),
        "|" + "|".join("---" if column in table.words else "---:" for column in range(len(table.heads))) + "|",
        *map(_markdown_row, table.rows),
    ]
    return "\n".join([*lines, *([""] if table.notes else []), *(f"- {printable(note)}" for note in table.notes)])


def _markdown_row(texts: tuple[str, ...]) -> str:
    escaped = (printable(text).replace("|", "\\|") for text in texts)
    return "".join(f"| {text} " if text else "| " for text in escaped) + "|"


def to_html(table: Table) -> str:
    """A `<table>` in a box that scrolls, and its notes as a list below; without the title. Texts are escaped."""
    left = {column: ' class="left"' if column in table.words else "" for column in range(len(table.heads))}
    heads = "".join(f"<th{left[column]}>{html.escape(text)}" for column, text in enumerate(table.heads))
    lines = [f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>']
    for number, row in enumerate(table.rows):
        first, *others = (_EMPHASISED.sub(r"<b>\1</b>", html.escape(text)) for text in row)
        cells = "".join(f"<td{left[column]}>{text}" for column, text in enumerate(others, start=1))
        bad = ' class="bad"' if number in table.failed else ""
        lines.append(f"<tr{bad}><th>{first}{cells}</tr>")
    lines.append("</tbody>\n</table></div>")
    if table.notes:
        lines.append("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in table.notes) + "</ul>")
    return "\n".join(lines)


def three_digits(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def byte_size(count: float) -> str:
    """Bytes in KB, MB or GB (powers of ten)."""
    unit, divisor = ("GB", 1e9) if count >= 1e9 else ("MB", 1e6) if count >= 1e6 else ("KB", 1e3)
    return f"{count / divisor:,.1f} {unit}"
