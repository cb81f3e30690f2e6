"""What the application asks of a model, whatever it is made of."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest


class Batch(NamedTuple):
    """Decoded rows, in the manifest's feature order within each part.

    `categorical` is an object array of str [rows, ordinal and nominal features], with the manifest's tokens for what is
    missing or unseen; `numeric` float32 [rows, other features]: numbers, booleans as 0 and 1, dates in days since
    1970-01-01, NaN for missing.
    """

    categorical: NDArray[np.object_]
    numeric: NDArray[np.float32]


class Place(NamedTuple):
    """Where a feature's column is in a batch."""

    feature: Feature
    position: int

    @classmethod
    def of(cls, manifest: Manifest, feature: Feature) -> "Place":
        """The place of one of the manifest's features."""
        part = manifest.categorical if feature in manifest.categorical else manifest.numeric
        return cls(feature, part.index(feature))

    def column(self, batch: Batch) -> NDArray[Any]:
        """The feature's values, [rows]."""
        part = batch.categorical if self.feature.kind in CATEGORICAL_KINDS else batch.numeric
        return part[:, self.position]


class Classes(NamedTuple):
    """A classifier's answers: `labels` int64 [rows], the class indices with the decision threshold applied;
    `probabilities` float32 [rows, classes].
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def row(self, index: int) -> "Classes":
        """The answer to one row."""
        return Classes(self.labels[index : index + 1], self.probabilities[index : index + 1])

    def copy(self) -> "Classes":
        """The same answers, in memory of their own."""
        return Classes(self.labels.copy(), self.probabilities.copy())


class Values(NamedTuple):
    """A regressor's answers: `values` float32 [rows]."""

    values: NDArray[np.float32]

    def row(self, index: int) -> "Values":
        """The answer to one row."""
        return Values(self.values[index : index + 1])

    def copy(self) -> "Values":
        """The same answers, in memory of their own."""
        return Values(self.values.copy())


Predictions = Classes | Values


class Predictor(Protocol):
    """A loaded model. `predict` may be called from any thread, also by several at once. `shares_runs`: whether rows of
    several requests may be predicted in one call, provided that gives the same answers. `piece_bytes`: how much of a
    batch's JSON is best predicted in one call.
    """

    backend: str
    shares_runs: bool
    piece_bytes: int

    def predict(self, batch: Batch) -> Predictions:
        """The answers to every row of the batch: those of the manifest's task."""
        ...
