"""When ONNX is worth it: the families' comparison."""

from collections.abc import Callable
from pathlib import Path

from experiments.report.files import decode, read_svg
from experiments.report.page_errors import ReportError
from experiments.report.section import Picture, Section, Table, count_rows, machine_facts
from experiments.study.results import Agreement, Cell, FamilyFacts, StudyResult, title
from load_testing.report import figure

PICTURES = {"speedup": "Speed-up over batch size", "time_per_row": "Time per row over batch size"}


def study_section(folder: Path) -> Section:
    """The section of `study/study.json`.

    Raises:
        ReportError: it, or a chart beside it, is broken.
    """
    path = folder / "study/study.json"
    result = decode(path, StudyResult)
    if not (result.protocol.threads and result.protocol.batch_rows):
        raise ReportError(f"{path}: no number of threads or of rows was measured; measure again, or remove it")
    charts = [(text, folder / f"study/{name}.svg") for name, text in PICTURES.items()]
    tables = []
    for threads in result.protocol.threads:
        tables.append(_table(result, threads, "Speed-up (native time / ONNX time)", _speedup))
        tables.append(_table(result, threads, "Time per call, native / ONNX, µs", _times))
    return Section(
        created=result.created,
        facts=_facts(result),
        key_figures=_key_figures(result),
        pictures=tuple(Picture(text, read_svg(path), wide=True) for text, path in charts if path.exists()),
        tables=(*tables, _agreements(result)),
        notes=tuple(_note(cell) for cell in result.cells if cell.note),
    )


def _facts(result: StudyResult) -> dict[str, str]:
    return {
        "command": result.command,
        "data": f"{result.dataset}, source {result.data_source}, {result.training_rows:,} rows for training, "
        f"{result.held_out_rows:,} held out",
        **machine_facts(result.machine),
        "meanwhile": f"other processes kept {result.others_cpus:.1f} CPUs busy",
    }


def _key_figures(result: StudyResult) -> tuple[str, ...]:
    """The range of the speed-ups at the smallest and at the largest batch, in cells that nothing disturbed."""
    threads = result.protocol.threads[0]
    lines = []
    for rows in (min(result.protocol.batch_rows), max(result.protocol.batch_rows)):
        found = [
            cell.speedup for cell in result.cells
            if cell.speedup and not cell.note and (cell.threads, cell.rows) == (threads, rows)
        ]  # fmt: skip
        if found:
            speed = f"{figure(min(found))} to {figure(max(found))} times as fast as native"
            lines.append(f"{count_rows(rows)} a call, {_threads(threads)}: ONNX {speed}, {len(found)} models")
    return tuple(lines)


def _table(result: StudyResult, threads: int, name: str, show: Callable[[Cell], str]) -> Table:
    columns = result.protocol.batch_rows
    rows = []
    for family in result.families:
        cells = {cell.rows: cell for cell in result.cells_of(family, threads)}
        rows.append((title(family), *(_show(cells.get(count), show) for count in columns)))
    heads = ("family", *map(count_rows, columns))
    return Table(f"{name}, {_threads(threads)}", heads, tuple(rows))


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _show(cell: Cell | None, show: Callable[[Cell], str]) -> str:
    if cell is None or cell.speedup is None:
        return "-"
    return f"{show(cell)} †" if cell.note else show(cell)


def _speedup(cell: Cell) -> str:
    return f"{figure(cell.speedup or 0)}x"


def _times(cell: Cell) -> str:
    return f"{cell.native_us or 0:,.0f} / {cell.onnx_us or 0:,.0f}"


def _agreements(result: StudyResult) -> Table:
    heads = ("family", "fitted on", "pickle KB", "ONNX KB", "max diff", "over 1e-6", "labels",
             "large numbers: max diff", "over 1e-6", "labels")  # fmt: skip
    return Table("Agreement on all held-out rows", heads, tuple(map(_agreement_row, result.families)))


def _agreement_row(family: FamilyFacts) -> tuple[str, ...]:
    sizes = (f"{family.training_rows:,}", f"{family.pickle_bytes / 1e3:,.0f}", f"{family.onnx_bytes / 1e3:,.0f}")
    return (title(family), *sizes, *_agreement(family.agreement), *_agreement(family.agreement_of_large_numbers))


def _agreement(found: Agreement | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    labels = "" if found.different_labels is None else f"{found.different_labels:,}"
    return f"{found.max_difference:.1e}", f"{found.beyond_tolerance:,}", labels


def _note(cell: Cell) -> str:
    return f"{title(cell)}, {_threads(cell.threads)}, {count_rows(cell.rows)}: {cell.note}"
