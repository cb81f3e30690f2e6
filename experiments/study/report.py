"""Write a comparison as Parquet, JSON, Markdown and charts."""

import io
from pathlib import Path

import msgspec
import polars as pl

from bundle.files import encode_result, write_files
from experiments.study.charts import draw_speedup, draw_time_per_row
from experiments.study.comparison import SHIFT
from experiments.study.results import Agreement, Cell, StudyResult, title
from experiments.study.tables import DISTURBED, LEFT_OUT, speedup_table, time_table

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
        lines += ["", f"## Time per call on {_count(threads)}: native / ONNX, µs", "", *time_table(result, threads)]
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
