"""What goes into a bundle: the exported artifacts, proven equal, and the reference predictions."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from bundle.manifest import ArtifactKind, Expected, Feature
from bundle.reference import CASE, HELD_OUT, LABEL, PROBABILITIES, ROW, TARGET
from bundle.training_record import Parity
from training.data.prepare import PreparedRows, describe_features
from training.export.edge_cases import edge_cases
from training.export.onnx_export import export_onnx, export_pickle
from training.export.parity import check_parity, predict_pickle
from training.model.fitting import Model
from training.model.score import Output


@dataclass(frozen=True)
class BundleContents:
    """Artifact contents, what the manifest says of the features and expects of their examples, what the parity gate
    measured, and the model's output for the held-out rows.
    """

    artifacts: dict[ArtifactKind, bytes]
    features: tuple[Feature, ...]
    expected: Expected
    parity: Parity
    held_out_output: Output


def make_contents(rows: PreparedRows, model: Model) -> BundleContents:
    """Export the model and pass it through the parity gate.

    Raises:
        ParityError: the exported graphs don't give what the pickle gives.
    """
    pickled = export_pickle(model.estimator)
    graphs: dict[ArtifactKind, bytes] = {
        "onnx": export_onnx(rows.dataset, model.estimator, rows.tokens, packed=False),
        "onnx_packed": export_onnx(rows.dataset, model.estimator, rows.tokens, packed=True),
    }
    reference = reference_rows(rows, edge_cases(rows.dataset, rows.training, model.booster, model.columns))
    expected = predict_pickle(pickled, rows.dataset, reference[ROW].struct.unnest())
    trees = model.booster.num_boosted_rounds() if model.booster else 0
    parity = check_parity(rows.dataset, reference, expected, graphs, rows.tokens, trees=trees)
    buffer = io.BytesIO()
    reference.with_columns(
        pl.Series(LABEL, expected.labels, dtype=pl.Int32), pl.Series(PROBABILITIES, expected.probabilities)
    ).write_parquet(buffer)
    artifacts: dict[ArtifactKind, bytes] = {**graphs, "pickle": pickled, "reference": buffer.getvalue()}
    features = describe_features(rows.dataset, rows.training, rows.wide)
    answer = _answer_example(pickled, rows, features)
    return BundleContents(artifacts, features, answer, parity, expected.probabilities[: rows.held_out.height, 1])


def _answer_example(pickled: bytes, rows: PreparedRows, features: Sequence[Feature]) -> Expected:
    schema = {feature.name: rows.training.schema[feature.name] for feature in features}
    example = pl.DataFrame({feature.name: [feature.example] for feature in features}, schema=schema)
    answer = predict_pickle(pickled, rows.dataset, example)
    return Expected(prediction=int(answer.labels[0]), probabilities=tuple(answer.probabilities[0].tolist()))


def reference_rows(rows: PreparedRows, edges: pl.DataFrame) -> pl.DataFrame:
    """Held-out rows, then edge cases: `row`, `case`, and `target` (null for an edge case)."""
    held_out = rows.held_out.select(
        pl.struct(feature.name for feature in rows.dataset.features).alias(ROW),
        pl.lit(HELD_OUT).alias(CASE),
        pl.Series(TARGET, rows.held_out_target, dtype=pl.Int32),
    )
    return pl.concat([held_out, edges.select(ROW, CASE, pl.lit(None, dtype=pl.Int32).alias(TARGET))])
