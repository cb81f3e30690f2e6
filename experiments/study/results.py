"""The result of the families' comparison: what `study.json` holds, and its tables."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from bundle.table import Table, three_digits
from experiments.study.cells import SHIFT, Agreement, Cell, FamilyFacts, StudyProtocol, count_rows, count_threads, title
from experiments.study.machine import ResultBesideOthers

SPEEDUP, TIMES = "Speed-up (native time / ONNX time)", "Time per call, native / ONNX, µs"
LEFT_OUT, DISTURBED = "-", "†"
MARKED = "† Other processes left too few CPUs for the cell's threads."


class StudyResult(ResultBesideOthers, frozen=True, kw_only=True):
    """A whole comparison."""

    title: ClassVar = "When ONNX is worth it"
    file: ClassVar = "study/study.json"
    made_by: ClassVar = "make study"
    pictures: ClassVar = ("speedup.svg",)

    dataset: str
    data_source: str
    training_rows: int
    held_out_rows: int
    protocol: StudyProtocol
    families: tuple[FamilyFacts, ...]
    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        """Raise ValueError if there is nothing to show."""
        if not (self.protocol.threads and self.protocol.batch_rows):
            raise ValueError("no number of threads or of rows was measured")

    def facts(self) -> dict[str, str]:
        """Data and protocol."""
        plan, sample = self.protocol, " (fast: a sample)" if self.protocol.fast else ""
        return {
            "data": f"{self.dataset}, source {self.data_source}, {self.training_rows:,} rows for training{sample}, "
            f"{self.held_out_rows:,} held out, repeated where needed",
            "protocol": "time of the fitted scikit-learn pipeline on a polars frame over that of ONNX Runtime on the "
            "same rows as tensors, both called in process and in turns; medians of "
            f"{plan.least_rounds} to {plan.most_rounds} rounds, {plan.seconds:g} s of them per cell; a cell is left "
            f"out ({LEFT_OUT}) where the least number of rounds would take over {plan.limit:g} s",
        } | super().facts()

    def key_figures(self) -> tuple[str, ...]:
        """The range of the speed-ups at the smallest and at the largest batch, in cells that nothing disturbed."""
        threads = self.protocol.threads[0]
        lines = []
        for rows in (min(self.protocol.batch_rows), max(self.protocol.batch_rows)):
            cells = [cell for cell in self.cells if not cell.note and (cell.threads, cell.rows) == (threads, rows)]
            if found := [cell.speedup for cell in cells if cell.speedup]:
                speed = f"{three_digits(min(found))} to {three_digits(max(found))} times as fast as native"
                lines.append(f"{count_rows(rows)} a call, {count_threads(threads)}: ONNX {speed}, {len(found)} models")
        return tuple(lines)

    def tables(self) -> tuple[Table, ...]:
        """Speed-ups and times by number of threads, and how far both sides agree."""
        speedups = (self._by_rows(threads, SPEEDUP, _speedup) for threads in self.protocol.threads)
        times = (self._by_rows(threads, TIMES, _times) for threads in self.protocol.threads)
        return (*speedups, *times, agreement_table(self.families))

    def notes(self) -> tuple[str, ...]:
        """What disturbed a cell, or why it was left out."""
        return tuple(
            f"{title(cell)}, {count_threads(cell.threads)}, {count_rows(cell.rows)}: {cell.note}"
            for cell in self.cells
            if cell.note
        )

    def _by_rows(self, threads: int, name: str, show: Callable[[Cell], str]) -> Table:
        columns = self.protocol.batch_rows
        rows = []
        for family in self.families:
            cells = {cell.rows: cell for cell in self.cells_of(family, threads)}
            rows.append((title(family), *(_show(cells.get(count), show) for count in columns)))
        notes = (MARKED,) if any(DISTURBED in text for row in rows for text in row) else ()
        heads = ("family", *map(count_rows, columns))
        return Table(f"{name}, {count_threads(threads)}", heads, tuple(rows), notes=notes)

    def cells_of(self, family: FamilyFacts, threads: int) -> list[Cell]:
        """The family's cells at a number of threads, by rows."""
        found = [
            cell for cell in self.cells
            if (cell.family, cell.parameters, cell.threads) == (family.family, family.parameters, threads)
        ]  # fmt: skip
        return sorted(found, key=lambda cell: cell.rows)


def _show(cell: Cell | None, show: Callable[[Cell], str]) -> str:
    if cell is None or cell.speedup is None:
        return LEFT_OUT
    return f"{show(cell)} {DISTURBED}" if cell.note else show(cell)


def _speedup(cell: Cell) -> str:
    """Cells that are slower than native are emphasised."""
    ratio = cell.speedup or 0.0
    text = f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2g}x" if ratio >= 2 else f"{ratio:.2f}x"
    return text if ratio >= 1 else f"**{text}**"


def _times(cell: Cell) -> str:
    return f"{cell.native_us or 0:,.0f} / {cell.onnx_us or 0:,.0f}"


def agreement_table(families: Sequence[FamilyFacts]) -> Table:
    """How far pickle and graph agree on all held-out rows, as they are and with `SHIFT` added to every number."""
    heads = ("family", "fitted on", "pickle KB", "ONNX KB", "max diff", "over 1e-6", "labels",
             "large numbers: max diff", "over 1e-6", "labels")  # fmt: skip
    rows = tuple(
        (
            title(family),
            f"{family.training_rows:,}",
            f"{family.pickle_bytes / 1e3:,.0f}",
            f"{family.onnx_bytes / 1e3:,.0f}",
            *_agreement(family.agreement),
            *_agreement(family.agreement_of_large_numbers),
        )
        for family in families
    )
    explained = (
        "Of all held-out rows: the largest difference of P(positive), rows that differ by more than 1e-6, and labels "
        "that differ.",
        f"Large numbers: the model fitted and asked with {SHIFT:,.0f} added to every number, as large as identifiers "
        "and timestamps are. The graph takes numbers as float32, which has steps of 8 there.",
    )
    return Table("Agreement on all held-out rows", heads, rows, notes=explained)


def _agreement(found: Agreement | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    labels = "" if found.different_labels is None else f"{found.different_labels:,}"
    return f"{found.max_difference:.1e}", f"{found.beyond_tolerance:,}", labels
