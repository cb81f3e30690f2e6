"""What the application asks of a model, whatever it is made of."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """Decoded rows, in the manifest's feature order within each part.

    `categorical` is an object array of str [rows, categorical features] without None; `numeric` float32 [rows, numeric
    features] with NaN for missing.
    """

    categorical: NDArray[np.object_]
    numeric: NDArray[np.float32]


class Predictions(NamedTuple):
    """`labels` int64 [rows], the decision threshold applied; `probabilities` float32 [rows, 2], by class index."""

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class Predictor(Protocol):
    """A loaded model. `predict` may be called from any thread, one call at a time or several."""

    backend: str

    def predict(self, batch: Batch) -> Predictions:
        """Class indices and probabilities of every row of the batch."""
        ...
