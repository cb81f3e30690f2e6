"""Markers in Markdown: HTML comments that nobody sees in the rendered page, and what is written between them.

<!-- figures: NAME -->                 lines of their own around a table or a paragraph
<!-- /figures -->
<!--= FIGURE -->51<!--/-->             a figure in a sentence; `A / B` is a quotient of two
<!--? FIGURE 1..3 -->                  no figure, but a condition: the words beside it hold from 1 to 3 (`1..`: or more)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.report.errors import ClaimError

OPENING = re.compile(r"<!-- figures: (\S+) -->")
CLOSING = "<!-- /figures -->"
INLINE = re.compile(r"<!--= ([^<>]+?) -->([^<>]*)<!--/-->")
CONDITION = re.compile(r"<!--\? ([^<>]+?) ([\d.]+?)\.\.([\d.]*) -->")
LEADING = re.compile(r"\s*(?:[-*>+]|\d+\.)?\s*<!--[=?]")
ANY = re.compile(r"<!--[=?/]|<!--\s*/?\s*figures")


@dataclass(frozen=True)
class Figure:
    """A measured value, and how it is written."""

    value: float
    text: str


@dataclass(frozen=True)
class Content:
    """What markers may name: figures, and the Markdown of whole blocks."""

    figures: Mapping[str, Figure]
    blocks: Mapping[str, str]


def rewrite(text: str, content: Content, origin: str) -> str:
    """The Markdown with everything between markers written anew; `origin` names it in errors.

    Raises:
        ClaimError: a marker is malformed, unclosed or names nothing, or a condition doesn't hold.
    """
    lines: list[str] = []
    open_block = ""
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{origin}:{number}"
        opening = OPENING.fullmatch(line)
        if opening and open_block:
            raise ClaimError(f"{where}: a block begins inside the one of {open_block}")
        if opening:
            open_block = f"{where.rpartition(':')[2]} ({opening[1]})"
            lines += [line, _block(opening[1], content, where)]
        elif line == CLOSING:
            if not open_block:
                raise ClaimError(f"{where}: {CLOSING} closes nothing")
            open_block = ""
            lines.append(line)
        elif not open_block:
            lines.append(_rewrite_line(line, content, where))
        elif ANY.search(line):
            raise ClaimError(f"{where}: a marker inside the block of line {open_block}, which is written anew")
    if open_block:
        raise ClaimError(f"{origin}: the block of line {open_block} is not closed by {CLOSING}")
    return "\n".join(lines)


def _block(name: str, content: Content, where: str) -> str:
    if name not in content.blocks:
        raise ClaimError(f"{where}: there is no block {name!r}; there are {', '.join(content.blocks)}")
    return content.blocks[name]


def _rewrite_line(line: str, content: Content, where: str) -> str:
    if LEADING.match(line):
        raise ClaimError(f"{where}: a line that begins with a marker is raw HTML to Markdown: put a word before it")
    for name, low, high in CONDITION.findall(line):
        _check(find_figure(name, content.figures, where), name, (low, high), where)
    stray = ANY.search(CONDITION.sub("", INLINE.sub("", line)))
    if stray:
        raise ClaimError(f"{where}: a malformed or unclosed marker: {stray.string[stray.start() :][:40]}")
    return INLINE.sub(lambda m: f"<!--= {m[1]} -->{find_figure(m[1], content.figures, where).text}<!--/-->", line)


def _check(figure: Figure, name: str, bounds: tuple[str, str], where: str) -> None:
    try:
        low, high = float(bounds[0]), float(bounds[1] or "inf")
    except ValueError as error:
        raise ClaimError(f"{where}: {'..'.join(bounds)} are no bounds") from error
    if not low <= figure.value <= high:
        raise ClaimError(
            f"{where}: the words there hold for {name} in {'..'.join(bounds)}, but it is {figure.value:.3g}: rewrite "
            "words and bounds"
        )


def find_figure(name: str, figures: Mapping[str, Figure], where: str) -> Figure:
    """The figure of a name, or the quotient `A / B` of two.

    Raises:
        ClaimError: there is no such figure.
    """
    parts = name.split(" / ")
    for part in parts:
        if part not in figures:
            raise ClaimError(f"{where}: there is no figure {part!r}; `make readme-tables LIST=1` lists them")
    if len(parts) == 1:
        return figures[name]
    if len(parts) > 2 or not figures[parts[1]].value:
        raise ClaimError(f"{where}: {name!r} is not a quotient of two figures")
    return ratio(figures[parts[0]].value / figures[parts[1]].value)


def ratio(value: float) -> Figure:
    """So many times as much: whole from ten on, else with a decimal."""
    return Figure(value, f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}")
