"""What goes into a bundle: the exported artifacts, proven equal, and the reference predictions."""

import io
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import ArtifactKind, Parity
from bundle.reference import CASE, HELD_OUT, LABEL, PROBABILITY, TARGET
from training.data.prepare import PreparedRows
from training.export.edge_cases import edge_cases
from training.export.onnx_export import export_onnx, export_pickle
from training.export.parity import check_parity, predict_pickle
from training.model.fitting import Model


@dataclass(frozen=True)
class BundleContents:
    """Artifact contents, what the parity gate measured, and P(positive) of the held-out rows (float32)."""

    artifacts: dict[ArtifactKind, bytes]
    parity: Parity
    held_out_probability: NDArray[np.float32]


def make_contents(rows: PreparedRows, model: Model) -> BundleContents:
    """Export the model and pass it through the parity gate.

    Raises:
        ParityError: the exported graphs don't give what the pickle gives.
    """
    pickled = export_pickle(model.classifier)
    graphs: dict[ArtifactKind, bytes] = {
        "onnx": export_onnx(rows.dataset, model.classifier, packed=False),
        "onnx_packed": export_onnx(rows.dataset, model.classifier, packed=True),
    }
    reference = reference_rows(rows, edge_cases(rows.dataset, rows.training, model.booster, model.columns))
    expected = predict_pickle(pickled, rows.dataset, reference)
    parity = check_parity(rows.dataset, reference, expected, graphs, trees=model.booster.num_boosted_rounds())
    probability = expected.probabilities[:, 1]
    buffer = io.BytesIO()
    reference.with_columns(
        pl.Series(LABEL, expected.labels, dtype=pl.Int8), pl.Series(PROBABILITY, probability)
    ).write_parquet(buffer)
    artifacts: dict[ArtifactKind, bytes] = {**graphs, "pickle": pickled, "reference": buffer.getvalue()}
    return BundleContents(artifacts, parity, probability[: rows.held_out.height])


def reference_rows(rows: PreparedRows, edges: pl.DataFrame) -> pl.DataFrame:
    """Held-out rows, then edge cases: the features, `_case`, and `_target` (null for an edge case)."""
    names = [feature.name for feature in rows.dataset.features]
    held_out = rows.held_out.select(
        *names, pl.lit(HELD_OUT).alias(CASE), pl.Series(TARGET, rows.held_out_target, dtype=pl.Int8)
    )
    return pl.concat([held_out, edges.select(*names, CASE, pl.lit(None, dtype=pl.Int8).alias(TARGET))])
