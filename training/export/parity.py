"""The parity gate: the pickle against both ONNX graphs, on every held-out row and every edge case."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from bundle.graph_names import CATEGORICAL, LABEL, NUMERIC, PROBABILITIES
from bundle.manifest import ArtifactKind, Tokens
from bundle.reference import CASE, HELD_OUT, ROW
from bundle.training_record import Parity
from training.data.prepare import pipeline_frame
from training.dataset import Dataset
from training.errors import ParityError
from training.export.onnx_export import tree_count

TOLERANCE = 1e-6
"""Largest allowed |Δp|. Both sides add the leaves as float32, in orders of their own: about 3e-7 is rounding."""

_REFUSALS = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph, ort_errors.RuntimeException)
"""What ONNX Runtime raises for a graph that it can't load or run; these have no base class of their own."""


@dataclass(frozen=True)
class Predictions:
    """Class indices int64 [rows] and P(class) float32 [rows, 2]."""

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def predict_pickle(content: bytes, dataset: Dataset, rows: pl.DataFrame) -> Predictions:
    """What the pickled classifier gives for `rows` (nulls allowed)."""
    classifier = pickle.loads(content)  # noqa: S301 - made a moment ago by this process
    features = _as_served(dataset, rows)
    probabilities = classifier.predict_proba(features).astype(np.float32)
    return Predictions(classifier.predict(features).astype(np.int64), probabilities)


def _as_served(dataset: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """The pipeline's features, numbers rounded to float32 as services hand them on."""
    numeric = pl.col([feature.name for feature in dataset.numeric])
    return pipeline_frame(dataset, rows).with_columns(numeric.cast(pl.Float32).cast(pl.Float64))


def predict_onnx(content: bytes, dataset: Dataset, rows: pl.DataFrame, tokens: Tokens) -> Predictions:
    """What ONNX Runtime gives for `rows` (nulls allowed) with a named or a packed graph."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    features = pipeline_frame(dataset, rows)
    features = features.with_columns(pl.col([f.name for f in dataset.categorical]).fill_null(tokens.missing))
    names = {
        CATEGORICAL: [feature.name for feature in dataset.categorical],
        NUMERIC: [feature.name for feature in dataset.numeric],
    }
    feeds = {}
    for node in session.get_inputs():
        columns = features.select(names.get(node.name, [node.name]))
        feeds[node.name] = columns.to_numpy().astype(object if node.type == "tensor(string)" else np.float32)
    labels, probabilities = session.run([LABEL, PROBABILITIES], feeds)
    return Predictions(labels, probabilities)


def check_parity(
    dataset: Dataset,
    reference: pl.DataFrame,
    expected: Predictions,
    graphs: Mapping[ArtifactKind, bytes],
    tokens: Tokens,
    *,
    trees: int,
) -> Parity:
    """Compare every graph with `expected` on the reference rows; `trees` is how many were trained.

    Raises:
        ParityError: a label differs, a probability differs by more than `TOLERANCE`, a tree was lost or gained, or a
            graph can't be run at all.
    """
    rows = reference[ROW].struct.unnest()
    edge_case_rows = int((reference[CASE] != HELD_OUT).sum())
    differences = []
    for name, content in graphs.items():
        if tree_count(content) != trees:
            raise ParityError(f"{name}: {tree_count(content)} trees, but {trees} were trained")
        try:
            got = predict_onnx(content, dataset, rows, tokens)
        except _REFUSALS as error:
            raise ParityError(f"{name}: ONNX Runtime refuses the graph: {error}") from error
        difference = np.abs(got.probabilities - expected.probabilities).max(axis=1)
        wrong = (got.labels != expected.labels) | ~(difference <= TOLERANCE)
        if wrong.any():
            raise ParityError(_describe(name, reference, expected, got, wrong))
        differences.append(difference)
    return Parity(
        rows=rows.height,
        edge_case_rows=edge_case_rows,
        label_mismatches=0,
        max_abs_difference=float(np.max(differences)),
        mean_abs_difference=float(np.mean(differences)),
        tolerance=TOLERANCE,
        trees=trees,
    )


def _describe(
    name: str, reference: pl.DataFrame, expected: Predictions, got: Predictions, wrong: NDArray[np.bool_]
) -> str:
    first = int(np.argmax(wrong))
    return (
        f"{name} differs from the pickle on {int(wrong.sum())} of {reference.height} rows "
        f"({int((got.labels != expected.labels).sum())} labels); first: row {first} ({reference[CASE][first]}), "
        f"label {got.labels[first]} instead of {expected.labels[first]}, "
        f"P(positive) {got.probabilities[first, 1]:.9f} instead of {expected.probabilities[first, 1]:.9f}"
    )
