"""The parity gate: the pickle against both ONNX graphs, on every given row and every edge case."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from bundle.manifest import ArtifactKind
from bundle.reference import CASE, HELD_OUT, ROW
from bundle.tolerance import PROBABILITY_TOLERANCE, VALUE_TOLERANCE
from bundle.training_record import Parity
from training.errors import ParityError
from training.export.graphs import tree_count
from training.export.interface import Interface
from training.export.predictions import Predictions, predict_onnx

SHOWN_ROWS = 5

_REFUSALS = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph, ort_errors.RuntimeException)
"""What ONNX Runtime raises for a graph that it can't load or run; these have no base class of their own."""


@dataclass(frozen=True)
class Compared:
    """What the gate measured, and which rows every graph answers as the pickle does, within the usual tolerance."""

    parity: Parity
    equal: NDArray[np.bool_]


def check_parity(
    interface: Interface,
    reference: pl.DataFrame,
    expected: Predictions,
    graphs: Mapping[ArtifactKind, bytes],
    *,
    trees: int,
    tolerance: float | None = None,
) -> Compared:
    """Compare every graph with `expected` on the reference rows; `trees` is how many were trained.

    A `tolerance` of the user's own takes the place of the usual one, and labels may differ within it.

    Raises:
        ParityError: a label differs, a probability differs by more than `PROBABILITY_TOLERANCE` (a value by
            `VALUE_TOLERANCE`), a tree was lost or gained, or a graph can't be run at all.
    """
    usual = usual_tolerance(interface)
    rows = interface.tensors(reference[ROW].struct.unnest())
    equal = np.ones(reference.height, dtype=bool)
    differences, mismatches = [], 0
    for name, content in graphs.items():
        if tree_count(content) != trees:
            raise ParityError(f"{name}: {tree_count(content)} trees, but {trees} were trained")
        try:
            got = predict_onnx(content, interface, rows)
        except _REFUSALS as error:
            raise ParityError(f"{name}: ONNX Runtime refuses the graph: {error}") from error
        difference = distance(interface, expected, got)
        moved = got.labels != expected.labels
        wrong = moved | ~(difference <= usual) if tolerance is None else ~(difference <= tolerance)
        if wrong.any():
            raise ParityError(_describe(name, reference, expected, got, wrong))
        equal &= ~moved & (difference <= usual)
        differences.append(difference)
        mismatches = max(mismatches, int(moved.sum()))
    parity = Parity(
        rows=reference.height,
        edge_case_rows=int((reference[CASE] != HELD_OUT).sum()),
        label_mismatches=mismatches,
        max_abs_difference=float(np.max(differences)),
        mean_abs_difference=float(np.mean(differences)),
        tolerance=usual if tolerance is None else tolerance,
        trees=trees,
    )
    return Compared(parity, equal)


def usual_tolerance(interface: Interface) -> float:
    """How far apart answers may be, as `distance` has it, unless the user gives another tolerance."""
    return VALUE_TOLERANCE if interface.task == "regression" else PROBABILITY_TOLERANCE


def distance(interface: Interface, expected: Predictions, got: Predictions) -> NDArray[np.float64]:
    """How far the answers are apart, per row: the largest |Δp|, or a value's relative difference."""
    want, have = expected.numbers.astype(np.float64), got.numbers.astype(np.float64)
    with np.errstate(invalid="ignore"):  # equal infinities are no distance apart
        apart = np.where(want == have, 0.0, np.abs(want - have))
        if interface.task == "regression":
            apart = apart / np.maximum(1.0, np.abs(want))
    found: NDArray[np.float64] = apart.max(axis=1)
    return found


def _describe(
    name: str, reference: pl.DataFrame, expected: Predictions, got: Predictions, wrong: NDArray[np.bool_]
) -> str:
    first = int(np.argmax(wrong))
    classifies = expected.numbers.shape[1] > 1
    last = expected.numbers.shape[1] - 1
    label = f"label {got.labels[first]} instead of {expected.labels[first]}, " if classifies else ""
    what = "value" if not classifies else "P(positive)" if last == 1 else f"P(class {last})"
    shown = [
        f"  row {row} ({reference[CASE][row]}): {reference[ROW][row]}: "
        f"{got.numbers[row].tolist()} instead of {expected.numbers[row].tolist()}"
        for row in np.flatnonzero(wrong)[:SHOWN_ROWS].tolist()
    ]
    return "\n".join(
        [
            f"{name} differs from the pickle on {int(wrong.sum())} of {reference.height} rows "
            f"({int((got.labels != expected.labels).sum())} labels); first: row {first} ({reference[CASE][first]}), "
            f"{label}{what} {got.numbers[first, last]:.9f} instead of {expected.numbers[first, last]:.9f}",
            *shown,
        ]
    )
