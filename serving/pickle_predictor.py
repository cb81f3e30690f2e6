"""The pickled scikit-learn pipeline."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from bundle.manifest import Manifest
from serving.expected_answer import model_failed
from serving.predictor import Batch, Classes, Place, Predictions, Predictor, Values


class PicklePredictor:
    """Runs the pipeline as it was fitted: on a frame of named columns or a matrix, in one thread."""

    backend = "pickle"
    shares_runs = False
    piece_bytes = 320 << 10  # about a thousand rows: a call costs several milliseconds, however few they are

    def __init__(self, model: bytes, manifest: Manifest) -> None:
        """`model` must have been checked against the manifest: unpickling runs whatever code the pickle names.

        Raises:
            BundleError: the libraries that are installed can't read it.
        """
        try:
            self._model: Any = pickle.loads(model)  # noqa: S301 - the caller checked its digest
            self._frame = build_frames(manifest)
        except Exception as error:
            raise model_failed(manifest, self.backend, error) from error
        self._classifies = manifest.task != "regression"
        self._threshold = manifest.decision_threshold
        if manifest.positive_class is not None:
            self._positive = manifest.classes.index(manifest.positive_class)

    def predict(self, batch: Batch) -> Predictions:
        """Probabilities from the pipeline, computed once: the labels are what its `predict` would derive from them."""
        frame = self._frame(batch)
        if not self._classifies:
            return Values(np.asarray(self._model.predict(frame)).astype(np.float32, copy=False).reshape(-1))
        probabilities = self._model.predict_proba(frame).astype(np.float32, copy=False)
        if self._threshold is None:
            return Classes(probabilities.argmax(axis=1), probabilities)
        positive = probabilities[:, self._positive] >= np.float32(self._threshold)
        labels = np.where(positive, self._positive, 1 - self._positive)
        return Classes(labels, probabilities)


def build_frames(manifest: Manifest) -> Callable[[Batch], Any]:
    """The function that makes the pipeline's frames. A library is imported only for a bundle that needs it."""
    places = [Place.of(manifest, feature) for feature in manifest.features]
    if manifest.frame == "polars":
        from serving.polars_frames import PolarsFrames  # noqa: PLC0415

        return PolarsFrames(places, manifest.tokens.missing)
    if manifest.frame == "pandas":
        from serving.pandas_frames import PandasFrames  # noqa: PLC0415

        return PandasFrames(places, manifest.tokens.missing)
    return lambda batch: np.column_stack([place.column(batch) for place in places]).astype(np.float64)


def _conforms(predictor: PicklePredictor) -> Predictor:
    return predictor
