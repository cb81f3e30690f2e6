"""The cells of a family: its native pipeline against its graph, at every number of rows."""

import math
from collections.abc import Iterator
from itertools import cycle

from sklearn.pipeline import Pipeline

from experiments.study.cells import Cell, StudyProtocol
from experiments.study.contestants import NativePipeline, OnnxGraph, StudyBatch
from experiments.study.families import Family
from experiments.study.machine import OthersClock
from experiments.study.timing import Budget, measure
from load_testing.cpus import available_cpus

DISTURBING = 0.2
"""CPUs that others may take from the threads before a cell is said to be disturbed."""


def measure_cells(
    family: Family,
    pipeline: Pipeline,
    content: bytes,
    batches: dict[int, tuple[StudyBatch, ...]],
    protocol: StudyProtocol,
    threads: int,
) -> Iterator[Cell]:
    """A cell per batch. What smaller batches show to be over the limit is left out, and the cell says so."""
    native, onnx = NativePipeline(pipeline, protocol.threshold), OnnxGraph(content, threads)
    budget = Budget(
        seconds=protocol.seconds,
        least_rounds=protocol.least_rounds,
        most_rounds=protocol.most_rounds,
    )
    per_row = math.inf  # it only falls as batches grow, so that the lowest so far bounds what a larger one takes
    with native.on_threads(threads):
        for rows, distinct in batches.items():
            needed = per_row * rows * (budget.least_rounds + 1)
            if math.isfinite(needed) and needed > protocol.limit:
                note = f"would take {needed:,.0f} s, over the cell's limit of {protocol.limit:g} s"
                yield Cell(family=family.name, parameters=family.description, threads=threads, rows=rows,
                           rounds=0, note=note)  # fmt: skip
                continue
            cell = _measure_cell(family, native, onnx, distinct, rows, threads, budget)
            per_row = min(per_row, (_seconds(cell.native_us) + _seconds(cell.onnx_us)) / rows)
            yield cell


def _seconds(microseconds: float | None) -> float:
    return 1e-6 * (microseconds or 0.0)


def _measure_cell(
    family: Family,
    native: NativePipeline,
    onnx: OnnxGraph,
    distinct: tuple[StudyBatch, ...],
    rows: int,
    threads: int,
    budget: Budget,
) -> Cell:
    for_native, for_onnx = cycle(distinct), cycle(distinct)
    clock = OthersClock()
    measured = measure((lambda: native.predict(next(for_native)), lambda: onnx.predict(next(for_onnx))), budget)
    native_seconds, onnx_seconds = measured.medians
    return Cell(
        family=family.name,
        parameters=family.description,
        threads=threads,
        rows=rows,
        rounds=len(measured.seconds[0]),
        native_us=1e6 * native_seconds,
        onnx_us=1e6 * onnx_seconds,
        speedup=native_seconds / onnx_seconds,
        note=_disturbance(clock.cpus(), threads),
    )


def _disturbance(others: float, threads: int) -> str:
    """Whether other processes left a CPU for every thread; on one that they shared, each waits for the slowest."""
    if threads + others <= len(available_cpus()) + DISTURBING:
        return ""
    return f"other processes kept {others:.1f} CPUs busy: too few were left for {threads} threads"
