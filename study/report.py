"""Write a comparison as Parquet, JSON, Markdown and charts."""

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl

from bundle.files import encode_result, write_files
from study.charts import draw_speedup, draw_time_per_row
from study.comparison import SHIFT
from study.results import Agreement, Cell, StudyResult, title

LEFT_OUT, DISTURBED = "-", "†"

SCHEMA = {
    "family": pl.String,
    "parameters": pl.String,
    "threads": pl.Int64,
    "rows": pl.Int64,
    "rounds": pl.Int64,
    "native_us": pl.Float64,
    "onnx_us": pl.Float64,
    "speedup": pl.Float64,
    "max_difference": pl.Float64,
    "label_match": pl.Float64,
    "note": pl.String,
}


def write_report(result: StudyResult, folder: Path) -> list[Path]:
    """Write `study.parquet`, `.json`, `.md` and the charts as SVG and PNG. Returns their paths."""
    table = io.BytesIO()
    pl.DataFrame([msgspec.to_builtins(cell) for cell in result.cells], schema=SCHEMA).write_parquet(table)
    contents = {
        "study.parquet": table.getvalue(),
        "study.json": encode_result(result),
        "study.md": render(result).encode(),
    }
    for name, figure in (("speedup", draw_speedup(result)), ("time_per_row", draw_time_per_row(result))):
        for kind in ("svg", "png"):
            picture = io.BytesIO()
            figure.savefig(picture, format=kind, dpi=120)
            contents[f"{name}.{kind}"] = picture.getvalue()
    return write_files(folder, contents)


def render(result: StudyResult) -> str:
    """The result as Markdown."""
    lines = ["# When is ONNX worth it?", "", *_facts(result)]
    for threads in result.protocol.threads:
        lines += ["", f"## Speed-up on {_count(threads)}", "", *speedup_table(result, threads)]
    lines += ["", "![Speed-up over batch size](speedup.png)"]
    for threads in result.protocol.threads:
        lines += ["", f"## Time per call on {_count(threads)}: native / ONNX, µs", "", *_time_table(result, threads)]
    lines += ["", "![Time per row](time_per_row.png)", "", "## Agreement", "", *_agreement_table(result)]
    if noted := [cell for cell in result.cells if cell.note]:
        lines += ["", "## Left out or disturbed", "", *map(_note, noted)]
    return "\n".join([*lines, ""])


def _count(threads: int) -> str:
    return "one thread" if threads == 1 else f"{threads} threads"


def _facts(result: StudyResult) -> list[str]:
    plan = result.protocol
    return [
        f"Measured {result.created:%Y-%m-%d %H:%M} UTC by `{result.command}`.",
        f"Data: {result.dataset}, source **{result.data_source}**, {result.training_rows:,} training rows"
        f"{' (fast: a sample)' if plan.fast else ''}, {result.held_out_rows:,} held-out rows, repeated where needed.",
        f"Machine: {result.machine}. Other processes kept {result.others_cpus:.1f} CPUs busy meanwhile.",
        "",
        "Time of the fitted scikit-learn pipeline on a polars frame, over that of ONNX Runtime on the same rows as "
        "tensors, both called in process. Native and ONNX calls alternate round by round; figures are medians of "
        f"{plan.least_rounds} to {plan.most_rounds} rounds. A cell has {plan.seconds:g} s of rounds, and is left out "
        f"({LEFT_OUT}) where its least number of rounds would take over {plan.limit:g} s. {DISTURBED}: other processes "
        "left too few CPUs for its threads.",
    ]


def speedup_table(result: StudyResult, threads: int) -> list[str]:
    """A line per family, a column per number of rows; what is slower than native is bold."""
    return _table(result, threads, _speedup)


def _time_table(result: StudyResult, threads: int) -> list[str]:
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


def _agreement_table(result: StudyResult) -> list[str]:
    lines = [
        "Of all held-out rows: the largest difference of P(positive), rows that differ by more than 1e-6, and labels "
        f"that differ. Large numbers: the model fitted and asked with {SHIFT:,.0f} added to every number, as large as "
        "identifiers and timestamps are. The graph takes numbers as float32, which has steps of 8 there.",
        "",
        "| family | fitted on | pickle KB | ONNX KB | max diff | over 1e-6 | labels "
        "| large numbers: max diff | over 1e-6 | labels |",
        "|---|" + "---:|" * 9,
    ]
    for family in result.families:
        sizes = f"{family.training_rows:,} | {family.pickle_bytes / 1e3:,.0f} | {family.onnx_bytes / 1e3:,.0f}"
        found = f"{_agreement(family.agreement)} | {_agreement(family.agreement_of_large_numbers)}"
        lines.append(f"| {title(family)} | {sizes} | {found} |")
    return lines


def _agreement(found: Agreement | None) -> str:
    if found is None:
        return " | | "
    labels = "" if found.different_labels is None else f"{found.different_labels:,}"
    return f"{found.max_difference:.1e} | {found.beyond_tolerance:,} | {labels}"


def _note(cell: Cell) -> str:
    return f"- {title(cell)}, {_count(cell.threads)}, {cell.rows:,} rows: {cell.note}"
