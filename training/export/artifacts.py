"""What goes into a bundle: the exported artifacts, proven equal, and the reference predictions."""

import io
from dataclasses import dataclass
from typing import Any

import onnx
import polars as pl

from bundle.manifest import ArtifactKind, Expected
from bundle.reference import CASE, HELD_OUT, LABEL, PROBABILITIES, ROW, TARGET, VALUE
from bundle.training_record import Parity
from training.data.describe import describe_features
from training.data.prepare import PreparedRows
from training.export.edge_cases import edge_cases
from training.export.graphs import export_graphs, export_pickle, tree_count
from training.export.interface import Interface
from training.export.parity import check_parity
from training.export.predictions import Predictions, predict_pickle
from training.export.splits import split_thresholds
from training.model.fitting import Model
from training.model.score import Output, Target


@dataclass(frozen=True)
class BundleContents:
    """The artifacts' contents, the model's interface, its answer to the features' examples, what the parity gate
    measured, and the model's output for the held-out rows.
    """

    artifacts: dict[ArtifactKind, bytes]
    interface: Interface
    expected: Expected
    parity: Parity
    held_out_output: Output


def make_contents(rows: PreparedRows, model: Model) -> BundleContents:
    """Export the model and pass it through the parity gate.

    Raises:
        ParityError: the exported graphs don't give what the pickle gives.
        ConversionError: the model can't be converted.
    """
    interface = interface_of(rows, model.threshold)
    pickled = export_pickle(model.estimator)
    graphs = export_graphs(rows.dataset.name, model.estimator, interface)
    splits = split_thresholds(onnx.load_from_string(graphs["onnx_packed"]), interface, rows.training)
    edges = edge_cases(interface, rows.training, splits)
    reference = reference_rows(interface, rows.held_out, rows.held_out_target, edges)
    expected = predict_pickle(pickled, interface, interface.tensors(reference[ROW].struct.unnest()))
    trees = len(model.booster.get_dump()) if model.booster else tree_count(graphs["onnx_packed"])
    compared = check_parity(interface, reference, expected, graphs, trees=trees)
    stored = write_reference(interface, reference, expected)
    artifacts: dict[ArtifactKind, bytes] = {**graphs, "pickle": pickled, "reference": stored}
    answer = answer_example(pickled, interface)
    output = _output(interface, expected.numbers[: rows.held_out.height])
    return BundleContents(artifacts, interface, answer, compared.parity, output)


def _output(interface: Interface, numbers: Output) -> Output:
    """The numbers as scores take them: P(positive) [rows], P(class) [rows, classes], or values [rows]."""
    if len(interface.classes) > 2:
        return numbers
    return numbers[:, interface.positive if interface.classes else 0]


def interface_of(rows: PreparedRows, threshold: float | None) -> Interface:
    """What a model of these rows takes and gives."""
    return Interface(
        task=rows.dataset.task,
        features=describe_features(rows.dataset, rows.training, rows.wide),
        tokens=rows.tokens,
        classes=rows.dataset.classes,
        threshold=threshold,
    )


def answer_example(pickled: bytes, interface: Interface) -> Expected:
    """The pickle's answer to the row of all features' examples."""
    answer = predict_pickle(pickled, interface, interface.tensors(example_row(interface)))
    return expected_of(interface, answer)


def expected_of(interface: Interface, answer: Predictions) -> Expected:
    """The first answer, as the manifest has it."""
    if interface.task == "regression":
        return Expected(prediction=float(answer.numbers[0, 0]))
    return Expected(prediction=int(answer.labels[0]), probabilities=tuple(answer.probabilities[0].tolist()))


def example_row(interface: Interface) -> pl.DataFrame:
    """The features' examples as a row."""
    columns: dict[str, Any] = {}
    for feature in interface.features:
        example = feature.example
        if feature.kind == "date":
            columns[feature.name] = pl.Series([example], dtype=pl.String).str.to_date()
        else:
            kind = {"numeric": pl.Float64, "boolean": pl.Boolean}.get(feature.kind, pl.String)
            columns[feature.name] = pl.Series([example], dtype=kind)
    return pl.DataFrame(columns)


def reference_rows(
    interface: Interface, rows: pl.DataFrame, target: Target | pl.Series | None, edges: pl.DataFrame
) -> pl.DataFrame:
    """The rows, then edge cases: `row`, `case`, and `target` (null for an edge case, and where it is unknown)."""
    kind = pl.Float64 if interface.task == "regression" else pl.Int32
    unknown = pl.lit(None, dtype=kind).alias(TARGET)
    held_out = rows.select(
        pl.struct(feature.name for feature in interface.features).alias(ROW),
        pl.lit(HELD_OUT).alias(CASE),
        unknown if target is None else pl.Series(TARGET, target, dtype=kind),
    )
    return pl.concat([held_out, edges.select(ROW, CASE, unknown)])


def write_reference(interface: Interface, reference: pl.DataFrame, expected: Predictions) -> bytes:
    """The reference rows with their answers, as Parquet."""
    if interface.task == "regression":
        answers = [pl.Series(VALUE, expected.numbers[:, 0])]
    else:
        answers = [pl.Series(LABEL, expected.labels, dtype=pl.Int32), pl.Series(PROBABILITIES, expected.probabilities)]
    buffer = io.BytesIO()
    reference.with_columns(answers).write_parquet(buffer)
    return buffer.getvalue()
