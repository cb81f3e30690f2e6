"""The families' comparison as Markdown tables."""

from collections.abc import Callable

from experiments.study.results import Cell, StudyResult, title

LEFT_OUT, DISTURBED = "-", "†"


def speedup_table(result: StudyResult, threads: int) -> list[str]:
    """A line per family, a column per number of rows; what is slower than native is bold."""
    return _table(result, threads, _speedup)


def time_table(result: StudyResult, threads: int) -> list[str]:
    """The same lines and columns with the times of a call, native and ONNX, in µs."""
    return _table(result, threads, lambda cell: f"{cell.native_us:,.0f} / {cell.onnx_us:,.0f}")


def _table(result: StudyResult, threads: int, show: Callable[[Cell], str]) -> list[str]:
    columns = result.protocol.batch_rows
    lines = ["| family | " + " | ".join(f"{rows:,} rows" if rows > 1 else "1 row" for rows in columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    for family in result.families:
        cells = [_show(cell, show) for cell in result.cells_of(family, threads)]
        lines.append(f"| {title(family)} | {' | '.join(cells)} |")
    return lines


def _show(cell: Cell, show: Callable[[Cell], str]) -> str:
    if cell.speedup is None:
        return LEFT_OUT
    return f"{show(cell)} {DISTURBED}" if cell.note else show(cell)


def _speedup(cell: Cell) -> str:
    ratio = cell.speedup or 0.0
    text = f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2g}x" if ratio >= 2 else f"{ratio:.2f}x"
    return text if ratio >= 1 else f"**{text}**"
