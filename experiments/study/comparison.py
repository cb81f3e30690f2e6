"""Every family, at every number of threads and rows: native pipeline against ONNX Runtime."""

import pickle
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from bundle.manifest import Tokens
from bundle.tolerance import PROBABILITY_TOLERANCE
from experiments.study.cells import SHIFT, Agreement, Cell, FamilyFacts, StudyProtocol
from experiments.study.contestants import NativePipeline, OnnxGraph, StudyBatch
from experiments.study.conversion import TOKENS, export_pipeline
from experiments.study.families import Family, build_pipeline
from experiments.study.measure import measure_cells
from training.data.prepare import PreparedRows, pipeline_frame
from training.dataset import Dataset

DISTINCT_BATCHES = 256

Progress = Callable[[str], object]
"""Told what was just done; called `steps` times."""


def steps(families: Sequence[Family], protocol: StudyProtocol) -> int:
    """How many steps a comparison has: a fit, and a cell per number of threads and rows."""
    return len(families) * (1 + len(protocol.threads) * len(protocol.batch_rows))


def compare(
    rows: PreparedRows, families: Sequence[Family], protocol: StudyProtocol, *, seed: int, progress: Progress
) -> tuple[list[FamilyFacts], list[Cell]]:
    """Fit, export and measure one family after the other.

    Raises:
        ParityError: a converter lost or gained trees.
    """
    facts, cells = [], []
    held_out = pipeline_frame(rows.dataset, rows.held_out)
    batches = {count: distinct_batches(rows.dataset, held_out, count) for count in protocol.batch_rows}
    for family in families:
        pipeline = fit(rows, rows.features, family, seed=seed)
        content = export_pipeline(rows.dataset, pipeline, protocol.threshold)
        facts.append(_describe(rows, held_out, family, pipeline, content, protocol, seed=seed))
        progress(f"{family.name} {family.description}")
        for threads in protocol.threads:
            for cell in measure_cells(family, pipeline, content, batches, protocol, threads):
                cells.append(cell)
                progress(f"{family.name} {family.description}")
    return facts, cells


def distinct_batches(
    dataset: Dataset, frame: pl.DataFrame, rows: int, tokens: Tokens = TOKENS
) -> tuple[StudyBatch, ...]:
    """Batches of `rows` neighbouring rows of the frame, which starts again with its first row as often as needed.

    There are as many as the frame fills, up to `DISTINCT_BATCHES`. A processor learns the branches that the same few
    rows take through the trees: a single batch repeated would be faster than batches are in a real service.
    """
    count = max(1, min(DISTINCT_BATCHES, frame.height // rows))
    return tuple(
        StudyBatch.of(dataset, frame[np.arange(start, start + rows) % frame.height], tokens)
        for start in range(0, count * rows, rows)
    )


def fit(rows: PreparedRows, features: pl.DataFrame, family: Family, *, seed: int) -> Pipeline:
    """The family's pipeline, fitted on as many training rows as it can take, drawn by the seed.

    On one thread: OpenMP's threads spin while they wait for each other, which takes minutes if a core is busy.
    """
    pipeline = build_pipeline(rows.dataset, features, family, seed=seed)
    drawn = np.arange(features.height)
    if family.training_rows is not None and family.training_rows < features.height:
        drawn = np.random.default_rng(seed).choice(features.height, family.training_rows, replace=False)
    with threadpool_limits(limits=1):
        return pipeline.fit(features[drawn], rows.target[drawn])


def _describe(
    rows: PreparedRows,
    held_out: pl.DataFrame,
    family: Family,
    pipeline: Pipeline,
    content: bytes,
    protocol: StudyProtocol,
    *,
    seed: int,
) -> FamilyFacts:
    of_large = None
    if rows.dataset.numeric:
        shifted = pl.col([feature.name for feature in rows.dataset.numeric]) + SHIFT
        other = fit(rows, rows.features.with_columns(shifted), family, seed=seed)
        exported = export_pipeline(rows.dataset, other, protocol.threshold)
        of_large = agree(rows, held_out.with_columns(shifted), other, exported, protocol)
    return FamilyFacts(
        family=family.name,
        parameters=family.description,
        training_rows=min(family.training_rows or rows.features.height, rows.features.height),
        onnx_bytes=len(content),
        pickle_bytes=len(pickle.dumps(pipeline, protocol=5)),
        agreement=agree(rows, held_out, pipeline, content, protocol),
        agreement_of_large_numbers=of_large,
    )


def agree(
    rows: PreparedRows, frame: pl.DataFrame, pipeline: Pipeline, content: bytes, protocol: StudyProtocol
) -> Agreement:
    """Both predictions of every row of the frame, compared."""
    batch = StudyBatch.of(rows.dataset, frame)
    contestant = NativePipeline(pipeline, protocol.threshold)
    with contestant.on_threads(1):
        native = contestant.predict(batch)
    onnx = OnnxGraph(content, 1).predict(batch)
    difference = np.abs(native.values - onnx.values)
    return Agreement(
        rows=frame.height,
        max_difference=float(difference.max()),
        different_labels=None if native.labels is None else int((native.labels != onnx.labels).sum()),
        beyond_tolerance=int((difference > PROBABILITY_TOLERANCE).sum()),
    )
