"""The pickled scikit-learn pipeline."""

import pickle

import numpy as np
import polars as pl

from bundle.manifest import Manifest
from serving.predictor import Batch, Predictions, Predictor


class PicklePredictor:
    """Runs the pipeline as it was fitted: on a frame of named columns, one thread."""

    backend = "pickle"

    def __init__(self, model: bytes, manifest: Manifest) -> None:
        """`model` must have been checked against the manifest: unpickling runs what the pickle says."""
        self._classifier = pickle.loads(model)  # noqa: S301 - the caller checked its digest
        self._threshold = np.float32(self._classifier.threshold)
        self._missing = manifest.tokens.missing
        self._names = [feature.name for feature in manifest.features]
        self._categorical = [feature.name for feature in manifest.categorical]
        self._numeric = [feature.name for feature in manifest.numeric]

    def predict(self, batch: Batch) -> Predictions:
        """Probabilities from the pipeline, asked for once; the label is what its `predict` would say of them."""
        columns = {
            name: pl.Series(name, batch.categorical[:, i].tolist(), pl.String).replace(self._missing, None)
            for i, name in enumerate(self._categorical)
        }
        columns |= {name: pl.Series(name, batch.numeric[:, i]).cast(pl.Float64) for i, name in enumerate(self._numeric)}
        frame = pl.DataFrame([columns[name] for name in self._names])
        probabilities = self._classifier.predict_proba(frame).astype(np.float32, copy=False)
        return Predictions((probabilities[:, 1] >= self._threshold).astype(np.int64), probabilities)


def _conforms(predictor: PicklePredictor) -> Predictor:
    return predictor
